import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { keyedChecksum } from "./checksum.ts";
import { childMaker } from "./children.ts";
import { claimPolicy, policyBinding, volumePolicy } from "./accessPolicy.ts";
import { storageClass, volumeSnapshotClass } from "./classes.ts";
import { controllerDeployment } from "./controllerPod.ts";
import { driverParts } from "./driverParts.ts";
import type { IscsiDriver } from "./iscsiDriver.ts";
import { driverProblems } from "./iscsiDriverProblems.ts";
import { classSuffix } from "./naming.ts";
import { nodeDaemonSet } from "./nodePod.ts";
import { privilegedLabels } from "./privilegedNamespace.ts";
import { inputError } from "./problems.ts";
import { controllerRules, leaderElectionRules, roleReference } from "./rbac.ts";
import type { Rule } from "./rbac.ts";
import { secretData } from "./secretData.ts";
import { shimSecret, shimsOf } from "./shims.ts";
import type { Transform } from "./transform.ts";

/** Changes to the children of a driver, by child; see `Transform`. */
export interface IscsiCsiDriverTransforms {
  /** The namespace with its pod-security labels. */
  namespace?: Transform<k8s.core.v1.NamespaceArgs>;
  /** The driver's configuration. */
  secret?: Transform<k8s.core.v1.SecretArgs>;
  /** The programs that replace the image's iscsiadm and mount, for drivers that need them. */
  shims?: Transform<k8s.core.v1.SecretArgs>;
  /** The controller's service account. */
  controllerServiceAccount?: Transform<k8s.core.v1.ServiceAccountArgs>;
  /** The node plugin's service account. */
  nodeServiceAccount?: Transform<k8s.core.v1.ServiceAccountArgs>;
  /** The controller's permissions. */
  clusterRole?: Transform<k8s.rbac.v1.ClusterRoleArgs>;
  /** Binds the controller's permissions. */
  clusterRoleBinding?: Transform<k8s.rbac.v1.ClusterRoleBindingArgs>;
  /** The node plugin's permissions, for drivers that need any. */
  nodeClusterRole?: Transform<k8s.rbac.v1.ClusterRoleArgs>;
  /** Binds the node plugin's permissions. */
  nodeClusterRoleBinding?: Transform<k8s.rbac.v1.ClusterRoleBindingArgs>;
  /** The permission to elect a leader, with more than one replica. */
  role?: Transform<k8s.rbac.v1.RoleArgs>;
  /** Binds that permission to the controller. */
  roleBinding?: Transform<k8s.rbac.v1.RoleBindingArgs>;
  /** The CSIDriver object. */
  csiDriver?: Transform<k8s.storage.v1.CSIDriverArgs>;
  /** The controller's Deployment. */
  controller?: Transform<k8s.apps.v1.DeploymentArgs>;
  /** The node plugin's DaemonSet. */
  node?: Transform<k8s.apps.v1.DaemonSetArgs>;
  /** Applied to every StorageClass. */
  storageClass?: Transform<k8s.storage.v1.StorageClassArgs>;
  /** The VolumeSnapshotClass. */
  snapshotClass?: Transform<k8s.apiextensions.CustomResourceArgs>;
  /** The admission policy for claims. */
  claimPolicy?: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyArgs>;
  /** Enforces that policy. */
  claimPolicyBinding?: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyBindingArgs>;
  /** The admission policy for PersistentVolumes. */
  volumePolicy?: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyArgs>;
  /** Enforces that policy. */
  volumePolicyBinding?: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyBindingArgs>;
}

/** Arguments of an iSCSI CSI driver on Talos. */
export interface IscsiCsiDriverArgs {
  /** The driver and what it runs. */
  driver: IscsiDriver;
  /** Changes to individual children. Default: none. */
  transform?: IscsiCsiDriverTransforms | undefined;
  /**
   * Whether the nodes keep pods and extensions in separate PID namespaces (`workloadIsolation`, on in clusters created with Talos 1.14 or newer). If so, the
   * strategy nsenter is rejected. Default: false.
   */
  workloadIsolation?: boolean | undefined;
}

/**
 * Everything an iSCSI CSI driver needs on Talos, for any driver: a namespace that admits its pods, its configuration, minimal permissions, a controller, a node
 * plugin on every node, and its classes.
 *
 * Throws `InputPropertiesError` with every problem of the description (a port conflict, nsenter with workload isolation).
 */
export class IscsiCsiDriver extends pulumi.ComponentResource {
  /** The driver's name, as in StorageClasses and PersistentVolumes. */
  declare readonly driverName: pulumi.Output<string>;
  /** The driver's namespace. */
  declare readonly namespace: pulumi.Output<string>;
  /** Name of the controller's Deployment. */
  declare readonly controllerName: pulumi.Output<string>;
  /** Name of the node plugin's DaemonSet. */
  declare readonly daemonSetName: pulumi.Output<string>;
  /** Names of the StorageClasses, in the order they were given. */
  declare readonly storageClassNames: pulumi.Output<string[]>;
  /** Name of the VolumeSnapshotClass, if there is one. */
  declare readonly snapshotClassName: pulumi.Output<string | undefined>;
  /** Prefix of its objects' names. */
  declare readonly prefix: string;
  /** Its parts by name: images, configuration and settings. None of it is secret. */
  declare readonly parts: Readonly<Record<string, pulumi.Input<string>>>;

  constructor(name: string, args: IscsiCsiDriverArgs, opts?: pulumi.ComponentResourceOptions) {
    const { driver, transform = {} } = args;
    const problems = driverProblems(driver, args.workloadIsolation ?? false);
    if (problems.length > 0) throw inputError("IscsiCsiDriver", name, problems);
    super("talos-iscsi:index:IscsiCsiDriver", name, {}, opts);

    const make = childMaker(this, name);
    const namespace = createNamespace();
    const secret = createSecret();
    const checksum = keyedChecksum(secret.metadata.uid, driver.secret.content);
    const rights = [...createAccounts(), ...createClusterRights(), ...createLeaseRights()];
    const csiDriver = createCsiDriver();
    const controller = createController();
    const node = createNode();
    const classes = createStorageClasses();
    const snapshotClass = createSnapshotClass();
    createAccessPolicies();

    this.driverName = pulumi.output(driver.driverName);
    this.namespace = pulumi.output(driver.namespace);
    this.controllerName = controller.metadata.name;
    this.daemonSetName = node.metadata.name;
    this.storageClassNames = storageClassNames();
    this.snapshotClassName = pulumi.output(snapshotClass?.metadata.name);
    this.prefix = driver.prefix;
    this.parts = driverParts(driver, checksum);
    this.registerOutputs({
      driverName: this.driverName,
      namespace: this.namespace,
      controllerName: this.controllerName,
      daemonSetName: this.daemonSetName,
      storageClassNames: this.storageClassNames,
      snapshotClassName: this.snapshotClassName,
    });

    // Labels are set when the namespace is created, before any pod: Talos enforces `baseline`, which rejects the node plugin.
    function createNamespace() {
      return make(k8s.core.v1.Namespace, {
        suffix: "namespace",
        transform: transform.namespace,
        args: { metadata: { name: driver.namespace, labels: privilegedLabels } },
      });
    }

    function createSecret() {
      return make(k8s.core.v1.Secret, {
        suffix: "config",
        transform: transform.secret,
        args: {
          metadata: { name: driver.secret.name, namespace: driver.namespace },
          type: "Opaque",
          data: { [driver.secret.key]: pulumi.secret(secretData(driver.secret.content)) },
        },
        dependsOn: [namespace],
        // The uid in its metadata keys the checksum (checksum.ts), so it must not be readable in the state.
        additionalSecretOutputs: ["metadata"],
      });
    }

    function createAccounts(): pulumi.Resource[] {
      const account = (part: "controller" | "node", token: boolean) => ({
        metadata: { name: `${driver.prefix}-${part}-service-account`, namespace: driver.namespace },
        automountServiceAccountToken: token,
      });
      return [
        make(k8s.core.v1.ServiceAccount, {
          suffix: "controller-account",
          transform: transform.controllerServiceAccount,
          args: account("controller", true),
          dependsOn: [namespace],
        }),
        make(k8s.core.v1.ServiceAccount, {
          suffix: "node-account",
          transform: transform.nodeServiceAccount,
          // A driver that doesn't use the API gets no token.
          args: account("node", driver.node.apiRules !== undefined),
          dependsOn: [namespace],
        }),
      ];
    }

    function createClusterRights(): pulumi.Resource[] {
      const controllerRights = createClusterRole({
        part: "controller",
        suffix: "cluster-role",
        rules: controllerRules(driver.controller.sidecars, driver.controller.apiRules),
        role: transform.clusterRole,
        binding: transform.clusterRoleBinding,
      });
      const nodeRules = driver.node.apiRules ?? [];
      if (nodeRules.length === 0) return controllerRights;
      const nodeRights = createClusterRole({
        part: "node",
        suffix: "node-cluster-role",
        rules: [...nodeRules],
        role: transform.nodeClusterRole,
        binding: transform.nodeClusterRoleBinding,
      });
      return [...controllerRights, ...nodeRights];
    }

    function createClusterRole(wanted: {
      part: "controller" | "node";
      suffix: string;
      rules: Rule[];
      role: Transform<k8s.rbac.v1.ClusterRoleArgs> | undefined;
      binding: Transform<k8s.rbac.v1.ClusterRoleBindingArgs> | undefined;
    }): pulumi.Resource[] {
      const roleName = `${driver.prefix}-${wanted.part}-cluster-role`;
      const role = make(k8s.rbac.v1.ClusterRole, {
        suffix: wanted.suffix,
        transform: wanted.role,
        args: { metadata: { name: roleName }, rules: wanted.rules },
      });
      const binding = make(k8s.rbac.v1.ClusterRoleBinding, {
        suffix: `${wanted.suffix}-binding`,
        transform: wanted.binding,
        args: {
          metadata: { name: `${roleName}-binding` },
          subjects: subjects(wanted.part),
          roleRef: roleReference("ClusterRole", roleName),
        },
        dependsOn: [role],
      });
      return [role, binding];
    }

    function createLeaseRights(): pulumi.Resource[] {
      if (driver.controller.replicas === 1) return [];
      const metadata = { name: `${driver.prefix}-leader-election`, namespace: driver.namespace };
      const role = make(k8s.rbac.v1.Role, {
        suffix: "leader-election",
        transform: transform.role,
        args: { metadata, rules: [...leaderElectionRules] },
        dependsOn: [namespace],
      });
      const binding = make(k8s.rbac.v1.RoleBinding, {
        suffix: "leader-election-binding",
        transform: transform.roleBinding,
        args: { metadata, subjects: subjects("controller"), roleRef: roleReference("Role", metadata.name) },
        dependsOn: [role],
      });
      return [role, binding];
    }

    function subjects(part: "controller" | "node") {
      return [
        {
          kind: "ServiceAccount",
          name: `${driver.prefix}-${part}-service-account`,
          namespace: driver.namespace,
        },
      ];
    }

    function createCsiDriver() {
      return make(k8s.storage.v1.CSIDriver, {
        suffix: "csi-driver",
        transform: transform.csiDriver,
        args: {
          metadata: { name: driver.driverName },
          spec: {
            attachRequired: driver.csiDriver.attachRequired,
            podInfoOnMount: driver.csiDriver.podInfoOnMount,
            fsGroupPolicy: driver.csiDriver.fsGroupPolicy,
            volumeLifecycleModes: ["Persistent"],
            ...driver.csiDriver.more,
          },
        },
        replaceOnChanges: ["spec.attachRequired", "spec.volumeLifecycleModes"],
      });
    }

    function createController() {
      return make(k8s.apps.v1.Deployment, {
        suffix: "controller",
        transform: transform.controller,
        args: controllerDeployment(driver, checksum),
        dependsOn: [namespace, secret, csiDriver, ...rights],
      });
    }

    function createNode() {
      return make(k8s.apps.v1.DaemonSet, {
        suffix: "node",
        transform: transform.node,
        args: nodeDaemonSet(driver, checksum),
        dependsOn: [namespace, secret, csiDriver, ...rights, ...createShims()],
      });
    }

    function createShims(): pulumi.Resource[] {
      const shims = shimsOf(driver);
      if (shims.length === 0) return [];
      const made = make(k8s.core.v1.Secret, {
        suffix: "shims",
        transform: transform.shims,
        args: {
          metadata: { name: shimSecret(driver), namespace: driver.namespace },
          type: "Opaque",
          data: Object.fromEntries(shims.map(({ file, content }) => [file, secretData(content)])),
        },
        dependsOn: [namespace],
      });
      return [made];
    }

    function createStorageClasses() {
      const classNames = driver.storageClasses.map((entry) => entry.name);
      return driver.storageClasses.map((entry) =>
        make(k8s.storage.v1.StorageClass, {
          suffix: classSuffix(name, entry.name, classNames),
          transform: transform.storageClass,
          args: storageClass(driver, entry),
          dependsOn: [csiDriver],
          // Existing claims and volumes keep what they have.
          replaceOnChanges: ["reclaimPolicy", "volumeBindingMode"],
          // Its name up to 0.1.0, such as joviandss-joviandss-sc: keeps the class of a stack from then.
          aliases: [{ name: `${name}-${entry.name}` }],
        }),
      );
    }

    // The first preview knows nothing about the cluster, but these names are settings; a transform may change them.
    function storageClassNames(): pulumi.Output<string[]> {
      return pulumi.runtime.isDryRun() && transform.storageClass === undefined
        ? pulumi.output(driver.storageClasses.map((entry) => entry.name))
        : pulumi.all(classes.map((entry) => entry.metadata.name));
    }

    function createSnapshotClass() {
      if (driver.snapshotClass === undefined) return undefined;
      return make(k8s.apiextensions.CustomResource, {
        suffix: "snapshot-class",
        transform: transform.snapshotClass,
        args: volumeSnapshotClass(driver, driver.snapshotClass),
        dependsOn: [csiDriver],
      });
    }

    // Claims are rejected so that their author sees the error; volumes are checked so that no other StorageClass or manually created volume bypasses it.
    function createAccessPolicies(): void {
      if (driver.accessGuard === undefined) return;
      const { claimPolicy: onClaims, claimPolicyBinding: claimsBinding } = transform;
      const { volumePolicy: onVolumes, volumePolicyBinding: volumesBinding } = transform;
      const claims = `${driver.prefix}-claims`;
      const volumes = `${driver.prefix}-volumes`;
      createPolicy("claims", claims, claimPolicy(claims, driver.accessGuard), onClaims, claimsBinding);
      const policy = volumePolicy(volumes, driver.driverName, driver.accessGuard);
      createPolicy("volumes", volumes, policy, onVolumes, volumesBinding);
    }

    function createPolicy(
      suffix: string,
      policyName: string,
      args: k8s.admissionregistration.v1.ValidatingAdmissionPolicyArgs,
      onPolicy: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyArgs> | undefined,
      onBinding: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyBindingArgs> | undefined,
    ): void {
      const policy = make(k8s.admissionregistration.v1.ValidatingAdmissionPolicy, {
        suffix,
        transform: onPolicy,
        args,
      });
      make(k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding, {
        suffix: `${suffix}-binding`,
        transform: onBinding,
        args: policyBinding(policyName),
        dependsOn: [policy],
      });
    }
  }
}
