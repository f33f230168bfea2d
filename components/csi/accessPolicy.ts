import type * as k8s from "@pulumi/kubernetes";
import type { AccessGuard, AllowedAccess } from "./iscsiDriver.ts";

type Policy = k8s.types.input.admissionregistration.v1.ValidatingAdmissionPolicy;
type PolicyBinding = k8s.types.input.admissionregistration.v1.ValidatingAdmissionPolicyBinding;

/**
 * Rejects claims that the driver would serve but never should. Evaluated when a claim is created, and when it gets its StorageClass later (Kubernetes assigns
 * the default class to claims without one as soon as there is one). Other updates pass: a claim from before the policy must still be deletable, which updates
 * its finalizers.
 */
export function claimPolicy(name: string, { classes }: AccessGuard): Policy {
  const byClass = `{${Object.entries(classes)
    .map(([storageClassName, allowed]) => `'${storageClassName}': ${celAccess(allowed)}`)
    .join(", ")}}`;
  return policy(name, "persistentvolumeclaims", {
    matchConditions: [
      {
        name: "own-storage-classes",
        expression: `has(object.spec.storageClassName) && object.spec.storageClassName in ${celList(Object.keys(classes))}`,
      },
      {
        name: "storage-class-is-new",
        expression:
          "oldObject == null || !has(oldObject.spec.storageClassName) || oldObject.spec.storageClassName != object.spec.storageClassName",
      },
    ],
    allowed: `${byClass}[object.spec.storageClassName]`,
    subject: "'a volume of class ' + object.spec.storageClassName",
  });
}

/**
 * Rejects PersistentVolumes of the driver that several nodes could mount: those of other StorageClasses, and manually created ones. Evaluated when a volume is
 * created, and when its access modes change.
 */
export function volumePolicy(name: string, driverName: string, guard: AccessGuard): Policy {
  const { sharedVolumes: shared } = guard;
  const attributes = "object.spec.csi.volumeAttributes";
  return policy(name, "persistentvolumes", {
    matchConditions: [
      {
        name: "own-volumes",
        expression: `has(object.spec.csi) && object.spec.csi.driver == '${driverName}'`,
      },
      {
        name: "access-modes-are-new",
        expression: "oldObject == null || oldObject.spec.accessModes != object.spec.accessModes",
      },
      ...(shared === undefined
        ? []
        : [
            {
              name: "not-shared",
              expression: `!(has(${attributes}) && '${shared.attribute}' in ${attributes} && ${attributes}['${shared.attribute}'] in ${celList(shared.values)})`,
            },
          ]),
    ],
    allowed: celAccess(guard.volumes),
    subject: `'a volume of driver ${driverName}'`,
  });
}

/** Enforces the policy of that name everywhere. */
export function policyBinding(name: string): PolicyBinding {
  return { metadata: { name }, spec: { policyName: name, validationActions: ["Deny"] } };
}

/** Claims and volumes have the two relevant fields in the same places. */
function policy(
  name: string,
  resource: "persistentvolumeclaims" | "persistentvolumes",
  rule: {
    matchConditions: { name: string; expression: string }[];
    /** CEL: a map from volume modes to access modes. */
    allowed: string;
    /** CEL: the subject of the message. */
    subject: string;
  },
): Policy {
  return {
    metadata: { name },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        resourceRules: [
          { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: [resource] },
        ],
      },
      matchConditions: rule.matchConditions,
      variables: [
        { name: "allowed", expression: rule.allowed },
        {
          name: "mode",
          expression: "has(object.spec.volumeMode) ? object.spec.volumeMode : 'Filesystem'",
        },
      ],
      validations: [
        {
          expression: "variables.mode in variables.allowed",
          messageExpression: `${rule.subject} + ' cannot have volumeMode ' + variables.mode + '; use volumeMode Filesystem'`,
          message: "this driver has no volumes of that volumeMode; use volumeMode Filesystem",
          reason: "Invalid",
        },
        {
          expression:
            "!(variables.mode in variables.allowed) || object.spec.accessModes.all(mode, mode in variables.allowed[variables.mode])",
          messageExpression: `${rule.subject} + ' holds data that only one node may write; use accessModes ' + variables.allowed[variables.mode].join(' or ')`,
          message: "a volume of this driver holds data that only one node may write",
          reason: "Invalid",
        },
      ],
    },
  };
}

function celAccess(allowed: AllowedAccess): string {
  return `{${Object.entries(allowed)
    .map(([mode, modes]) => `'${mode}': ${celList(modes as readonly string[])}`)
    .join(", ")}}`;
}

// Kubernetes names contain neither quotes nor backslashes.
function celList(values: readonly string[]): string {
  return `[${values.map((value) => `'${value}'`).join(", ")}]`;
}
