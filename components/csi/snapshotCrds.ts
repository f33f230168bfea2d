import type * as k8s from "@pulumi/kubernetes";

type Crd = k8s.types.input.apiextensions.v1.CustomResourceDefinition;
type Schema = k8s.types.input.apiextensions.v1.JSONSchemaProps;
type Column = k8s.types.input.apiextensions.v1.CustomResourceColumnDefinition;

/**
 * The API of volume snapshots, group snapshot.storage.k8s.io version v1, with the fields and rules of external-snapshotter v8.6.0 (client/config/crd). Version
 * v1beta1, which that release never served, and group snapshots, which are off by default, are left out. By plural name.
 */
export function snapshotCrds(): Record<
  "volumesnapshotclasses" | "volumesnapshotcontents" | "volumesnapshots",
  Crd
> {
  return {
    volumesnapshotclasses: volumeSnapshotClasses(),
    volumesnapshotcontents: volumeSnapshotContents(),
    volumesnapshots: volumeSnapshots(),
  };
}

const group = "snapshot.storage.k8s.io";
// The API server requires this annotation for every *.k8s.io group; the value is the pull request that approved the API.
const approval = {
  "api-approved.kubernetes.io": "https://github.com/kubernetes-csi/external-snapshotter/pull/814",
};

const string: Schema = { type: "string" };
const boolean: Schema = { type: "boolean" };
const time: Schema = { type: "string", format: "date-time" };
const texts: Schema = { type: "object", additionalProperties: string };
const object = (properties: Record<string, Schema>, required: string[] = []): Schema => ({
  type: "object",
  properties,
  ...(required.length > 0 ? { required } : {}),
});
const withRules = (schema: Schema, ...rules: [rule: string, message: string][]): Schema => ({
  ...schema,
  x_kubernetes_validations: rules.map(([rule, message]) => ({ rule, message })),
});
const immutableField = (name: string): Schema =>
  withRules(string, ["self == oldSelf", `${name} is immutable`]);
const staysSet = (name: string): [string, string] => [
  `!has(oldSelf.${name}) || has(self.${name})`,
  `${name} is required once set`,
];
const oneOfTwo = (one: string, other: string): [string, string] => [
  `(has(self.${one}) && !has(self.${other})) || (!has(self.${one}) && has(self.${other}))`,
  `exactly one of ${one} and ${other} must be set`,
];
const column = (name: string, type: string, jsonPath: string): Column => ({ name, type, jsonPath });
const age = column("Age", "date", ".metadata.creationTimestamp");
const deletionPolicy: Schema = { type: "string", enum: ["Delete", "Retain"] };
const failure = object({ message: string, time });

function crd(
  names: { kind: string; plural: string; shortNames: string[] },
  scope: "Cluster" | "Namespaced",
  version: object,
): Crd {
  const { kind, plural, shortNames } = names;
  return {
    metadata: { name: `${plural}.${group}`, annotations: approval },
    spec: {
      group,
      names: { kind, plural, shortNames, listKind: `${kind}List`, singular: kind.toLowerCase() },
      scope,
      versions: [{ name: "v1", served: true, storage: true, ...version }],
    },
  };
}

function topLevel(properties: Record<string, Schema>, required: string[]): { openAPIV3Schema: Schema } {
  return {
    openAPIV3Schema: object(
      { apiVersion: string, kind: string, metadata: { type: "object" }, ...properties },
      required,
    ),
  };
}

function volumeSnapshotClasses(): Crd {
  return crd(
    { kind: "VolumeSnapshotClass", plural: "volumesnapshotclasses", shortNames: ["vsclass", "vsclasses"] },
    "Cluster",
    {
      additionalPrinterColumns: [
        column("Driver", "string", ".driver"),
        column("DeletionPolicy", "string", ".deletionPolicy"),
        age,
      ],
      schema: topLevel({ driver: string, deletionPolicy, parameters: texts }, ["deletionPolicy", "driver"]),
    },
  );
}

function volumeSnapshotContents(): Crd {
  const source = withRules(
    object({
      volumeHandle: immutableField("volumeHandle"),
      snapshotHandle: immutableField("snapshotHandle"),
    }),
    staysSet("volumeHandle"),
    staysSet("snapshotHandle"),
    oneOfTwo("volumeHandle", "snapshotHandle"),
  );
  const reference: Schema = {
    ...withRules(
      object({
        apiVersion: string,
        fieldPath: string,
        kind: string,
        name: string,
        namespace: string,
        resourceVersion: string,
        uid: string,
      }),
      // `namespace` is a reserved word in CEL and is written with underscores there.
      [
        "has(self.name) && has(self.__namespace__)",
        "both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set",
      ],
    ),
    x_kubernetes_map_type: "atomic",
  };
  const spec = withRules(
    object(
      {
        deletionPolicy,
        driver: string,
        source,
        sourceVolumeMode: immutableField("sourceVolumeMode"),
        volumeSnapshotClassName: string,
        volumeSnapshotRef: reference,
      },
      ["deletionPolicy", "driver", "source", "volumeSnapshotRef"],
    ),
    staysSet("sourceVolumeMode"),
  );
  const status = object({
    creationTime: { type: "integer", format: "int64" },
    error: failure,
    readyToUse: boolean,
    restoreSize: { type: "integer", format: "int64", minimum: 0 },
    snapshotHandle: string,
    volumeGroupSnapshotHandle: string,
  });
  return crd(
    { kind: "VolumeSnapshotContent", plural: "volumesnapshotcontents", shortNames: ["vsc", "vscs"] },
    "Cluster",
    {
      additionalPrinterColumns: [
        column("ReadyToUse", "boolean", ".status.readyToUse"),
        column("RestoreSize", "integer", ".status.restoreSize"),
        column("DeletionPolicy", "string", ".spec.deletionPolicy"),
        column("Driver", "string", ".spec.driver"),
        column("VolumeSnapshotClass", "string", ".spec.volumeSnapshotClassName"),
        column("VolumeSnapshot", "string", ".spec.volumeSnapshotRef.name"),
        column("VolumeSnapshotNamespace", "string", ".spec.volumeSnapshotRef.namespace"),
        age,
      ],
      schema: topLevel({ spec, status }, ["spec"]),
      subresources: { status: {} },
    },
  );
}

function volumeSnapshots(): Crd {
  const claim = "persistentVolumeClaimName";
  const content = "volumeSnapshotContentName";
  const source = withRules(
    object({ [claim]: immutableField(claim), [content]: immutableField(content) }),
    staysSet(claim),
    staysSet(content),
    oneOfTwo(content, claim),
  );
  const className = withRules(string, [
    "size(self) > 0",
    "volumeSnapshotClassName must not be the empty string when set",
  ]);
  const status = object({
    boundVolumeSnapshotContentName: string,
    creationTime: time,
    error: failure,
    readyToUse: boolean,
    restoreSize: { type: "string", pattern: quantity, x_kubernetes_int_or_string: true },
    volumeGroupSnapshotName: string,
  });
  return crd({ kind: "VolumeSnapshot", plural: "volumesnapshots", shortNames: ["vs"] }, "Namespaced", {
    additionalPrinterColumns: [
      column("ReadyToUse", "boolean", ".status.readyToUse"),
      column("SourcePVC", "string", `.spec.source.${claim}`),
      column("SourceSnapshotContent", "string", `.spec.source.${content}`),
      column("RestoreSize", "string", ".status.restoreSize"),
      column("SnapshotClass", "string", ".spec.volumeSnapshotClassName"),
      column("SnapshotContent", "string", ".status.boundVolumeSnapshotContentName"),
      column("CreationTime", "date", ".status.creationTime"),
      age,
    ],
    schema: topLevel({ spec: object({ source, volumeSnapshotClassName: className }, ["source"]), status }, [
      "spec",
    ]),
    subresources: { status: {} },
  });
}

// A Kubernetes quantity: 10Gi, 1e3, 500m.
const quantity =
  "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$";
