import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { keyedChecksum } from "./checksum.ts";
import { claimPolicy, claimPolicyBinding, storageClass, volumeSnapshotClass } from "./classes.ts";
import { controllerDeployment } from "./controllerPod.ts";
import type { IscsiDriver } from "./iscsiDriver.ts";
import { driverProblems } from "./iscsiDriverProblems.ts";
import { nodeDaemonSet, wrapperConfigMap, wrapperFile } from "./nodePod.ts";
import { nsenterWrapper } from "./nsenterWrapper.ts";
import { inputError } from "./problems.ts";
import { controllerRules, leaderElectionRules } from "./rbac.ts";
import { transformed } from "./transform.ts";
import type { Transform } from "./transform.ts";

/** Changes to the children of a driver, by child; see `Transform`. */
export interface IscsiCsiDriverTransforms {
  namespace?: Transform<k8s.core.v1.NamespaceArgs>;
  secret?: Transform<k8s.core.v1.SecretArgs>;
  iscsiadmConfigMap?: Transform<k8s.core.v1.ConfigMapArgs>;
  controllerServiceAccount?: Transform<k8s.core.v1.ServiceAccountArgs>;
  nodeServiceAccount?: Transform<k8s.core.v1.ServiceAccountArgs>;
  clusterRole?: Transform<k8s.rbac.v1.ClusterRoleArgs>;
  clusterRoleBinding?: Transform<k8s.rbac.v1.ClusterRoleBindingArgs>;
  role?: Transform<k8s.rbac.v1.RoleArgs>;
  roleBinding?: Transform<k8s.rbac.v1.RoleBindingArgs>;
  csiDriver?: Transform<k8s.storage.v1.CSIDriverArgs>;
  controller?: Transform<k8s.apps.v1.DeploymentArgs>;
  node?: Transform<k8s.apps.v1.DaemonSetArgs>;
  /** Applied to every StorageClass. */
  storageClass?: Transform<k8s.storage.v1.StorageClassArgs>;
  snapshotClass?: Transform<k8s.apiextensions.CustomResourceArgs>;
  claimPolicy?: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyArgs>;
  claimPolicyBinding?: Transform<k8s.admissionregistration.v1.ValidatingAdmissionPolicyBindingArgs>;
}

/** Arguments of an iSCSI CSI driver on Talos. */
export interface IscsiCsiDriverArgs {
  /** What the driver is and what it runs. */
  driver: IscsiDriver;
  /** Changes to single children. Default: none. */
  transform?: IscsiCsiDriverTransforms | undefined;
  /**
   * Whether the nodes keep pods and extensions in separate PID namespaces (`workloadIsolation`, on in clusters made with
   * Talos 1.14 or newer). Then the strategy nsenter is refused. Default: false.
   */
  workloadIsolation?: boolean | undefined;
}

/**
 * Everything an iSCSI CSI driver needs on Talos, whatever the driver: a namespace that admits its pods, its
 * configuration, the least of rights, a controller, a node part on every node, and its classes.
 *
 * Throws `InputPropertiesError` with every problem of the description (a clash of ports, nsenter with workload isolation).
 */
export class IscsiCsiDriver extends pulumi.ComponentResource {
  /** The driver's name, as StorageClasses and PersistentVolumes have it. */
  declare readonly driverName: pulumi.Output<string>;
  /** The namespace the driver lives in. */
  declare readonly namespace: pulumi.Output<string>;
  /** Name of the controller's Deployment. */
  declare readonly controllerName: pulumi.Output<string>;
  /** Name of the node part's DaemonSet. */
  declare readonly daemonSetName: pulumi.Output<string>;
  /** Names of the StorageClasses, in the order they were given. */
  declare readonly storageClassNames: pulumi.Output<string[]>;
  /** Name of the VolumeSnapshotClass, if there is one. */
  declare readonly snapshotClassName: pulumi.Output<string | undefined>;

  constructor(name: string, args: IscsiCsiDriverArgs, opts?: pulumi.ComponentResourceOptions) {
    const { driver, transform = {} } = args;
    const problems = driverProblems(driver, args.workloadIsolation ?? false);
    if (problems.length > 0) throw inputError("IscsiCsiDriver", name, problems);
    super("talos-iscsi:index:IscsiCsiDriver", name, {}, opts);

    // Names are explicit and many fields of these objects cannot be changed in place: the old object has to go first.
    const child = (dependsOn: pulumi.Resource[] = []): pulumi.CustomResourceOptions => ({
      parent: this,
      deleteBeforeReplace: true,
      dependsOn,
    });
    const controllerAccount = `${driver.prefix}-controller-service-account`;

    const namespace = createNamespace();
    const secret = createSecret();
    const checksum = keyedChecksum(secret.metadata.uid, driver.secret.content);
    const rights = createRights();
    const csiDriver = createCsiDriver();
    const controller = createController();
    const node = createNode();
    const classes = createStorageClasses();
    const snapshotClass = createSnapshotClass();
    createClaimPolicy();

    this.driverName = pulumi.output(driver.driverName);
    this.namespace = pulumi.output(driver.namespace);
    this.controllerName = controller.metadata.name;
    this.daemonSetName = node.metadata.name;
    this.storageClassNames = pulumi.all(classes.map((entry) => entry.metadata.name));
    this.snapshotClassName =
      snapshotClass === undefined ? pulumi.output(undefined) : snapshotClass.metadata.name;
    this.registerOutputs({
      driverName: this.driverName,
      namespace: this.namespace,
      controllerName: this.controllerName,
      daemonSetName: this.daemonSetName,
      storageClassNames: this.storageClassNames,
      snapshotClassName: this.snapshotClassName,
    });

    // On the object itself, before any pod: Talos enforces `baseline`, which refuses the node part. `audit` and `warn` too,
    // or every rollout warns. The versions keep the meaning fixed to the cluster's own.
    function createNamespace() {
      const labels = Object.fromEntries(
        ["enforce", "audit", "warn"].flatMap((mode) => [
          [`pod-security.kubernetes.io/${mode}`, "privileged"],
          [`pod-security.kubernetes.io/${mode}-version`, "latest"],
        ]),
      );
      const options = child();
      const wanted = {
        metadata: {
          name: driver.namespace,
          labels: { ...labels, "app.kubernetes.io/part-of": "talos-iscsi" },
        },
      };
      return new k8s.core.v1.Namespace(
        `${name}-namespace`,
        transformed(transform.namespace, wanted, options),
        options,
      );
    }

    function createSecret() {
      // The uid in its metadata keys the checksum (checksum.ts) and so may not be readable in the state.
      const options: pulumi.CustomResourceOptions = {
        ...child([namespace]),
        additionalSecretOutputs: ["metadata"],
      };
      const wanted = {
        metadata: { name: driver.secret.name, namespace: driver.namespace },
        type: "Opaque",
        stringData: { [driver.secret.key]: pulumi.secret(driver.secret.content) },
      };
      return new k8s.core.v1.Secret(
        `${name}-config`,
        transformed(transform.secret, wanted, options),
        options,
      );
    }

    function createRights(): pulumi.Resource[] {
      const subjects = [{ kind: "ServiceAccount", name: controllerAccount, namespace: driver.namespace }];
      return [
        ...createAccounts(),
        ...createClusterRights(),
        ...(driver.controller.replicas > 1 ? createLeaseRights() : []),
      ];

      // The node part asks nothing of the API: no rights, no token.
      function createAccounts() {
        const forController = child([namespace]);
        const forNode = child([namespace]);
        const account = (part: "controller" | "node", token: boolean) => ({
          metadata: { name: `${driver.prefix}-${part}-service-account`, namespace: driver.namespace },
          automountServiceAccountToken: token,
        });
        return [
          new k8s.core.v1.ServiceAccount(
            `${name}-controller-account`,
            transformed(transform.controllerServiceAccount, account("controller", true), forController),
            forController,
          ),
          new k8s.core.v1.ServiceAccount(
            `${name}-node-account`,
            transformed(transform.nodeServiceAccount, account("node", false), forNode),
            forNode,
          ),
        ];
      }

      function createClusterRights() {
        const roleName = `${driver.prefix}-controller-cluster-role`;
        const roleOptions = child();
        const role = new k8s.rbac.v1.ClusterRole(
          `${name}-cluster-role`,
          transformed(
            transform.clusterRole,
            { metadata: { name: roleName }, rules: controllerRules(driver.controller.sidecars) },
            roleOptions,
          ),
          roleOptions,
        );
        const bindingOptions = child([role]);
        const binding = {
          metadata: { name: `${roleName}-binding` },
          subjects,
          roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: roleName },
        };
        return [
          role,
          new k8s.rbac.v1.ClusterRoleBinding(
            `${name}-cluster-role-binding`,
            transformed(transform.clusterRoleBinding, binding, bindingOptions),
            bindingOptions,
          ),
        ];
      }

      function createLeaseRights() {
        const roleName = `${driver.prefix}-leader-election`;
        const metadata = { name: roleName, namespace: driver.namespace };
        const roleOptions = child([namespace]);
        const role = new k8s.rbac.v1.Role(
          `${name}-leader-election`,
          transformed(transform.role, { metadata, rules: [...leaderElectionRules] }, roleOptions),
          roleOptions,
        );
        const bindingOptions = child([role]);
        const binding = {
          metadata,
          subjects,
          roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: roleName },
        };
        return [
          role,
          new k8s.rbac.v1.RoleBinding(
            `${name}-leader-election-binding`,
            transformed(transform.roleBinding, binding, bindingOptions),
            bindingOptions,
          ),
        ];
      }
    }

    // fsGroupPolicy File: the volumes are local file systems, so a pod's fsGroup is applied by the kubelet.
    function createCsiDriver() {
      const options = child();
      const wanted = {
        metadata: { name: driver.driverName },
        spec: {
          attachRequired: driver.csiDriver.attachRequired,
          podInfoOnMount: driver.csiDriver.podInfoOnMount,
          fsGroupPolicy: "File",
          volumeLifecycleModes: ["Persistent"],
        },
      };
      return new k8s.storage.v1.CSIDriver(
        `${name}-csi-driver`,
        transformed(transform.csiDriver, wanted, options),
        options,
      );
    }

    function createController() {
      const options = child([namespace, secret, csiDriver, ...rights]);
      const wanted = controllerDeployment(driver, checksum);
      return new k8s.apps.v1.Deployment(
        `${name}-controller`,
        transformed(transform.controller, wanted, options),
        options,
      );
    }

    function createNode() {
      const wrapper = driver.iscsiadm.strategy === "nsenter" ? [createWrapper()] : [];
      const options = child([namespace, secret, csiDriver, ...rights, ...wrapper]);
      return new k8s.apps.v1.DaemonSet(
        `${name}-node`,
        transformed(transform.node, nodeDaemonSet(driver, checksum), options),
        options,
      );
    }

    function createWrapper() {
      const options = child([namespace]);
      const wanted = {
        metadata: { name: wrapperConfigMap(driver), namespace: driver.namespace },
        data: { [wrapperFile]: nsenterWrapper },
      };
      return new k8s.core.v1.ConfigMap(
        `${name}-iscsiadm`,
        transformed(transform.iscsiadmConfigMap, wanted, options),
        options,
      );
    }

    function createStorageClasses() {
      return driver.storageClasses.map((entry) => {
        const options = child([csiDriver]);
        return new k8s.storage.v1.StorageClass(
          `${name}-${entry.name}`,
          transformed(transform.storageClass, storageClass(driver, entry), options),
          options,
        );
      });
    }

    function createSnapshotClass() {
      if (driver.snapshotClass === undefined) return undefined;
      const options = child([csiDriver]);
      const wanted = volumeSnapshotClass(driver, driver.snapshotClass);
      return new k8s.apiextensions.CustomResource(
        `${name}-snapshot-class`,
        transformed(transform.snapshotClass, wanted, options),
        options,
      );
    }

    function createClaimPolicy() {
      if (driver.accessModes === undefined) return;
      const policyName = `${driver.prefix}-claims`;
      const options = child();
      const policy = new k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
        `${name}-claims`,
        transformed(transform.claimPolicy, claimPolicy(policyName, driver.accessModes), options),
        options,
      );
      const bindingOptions = child([policy]);
      new k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        `${name}-claims-binding`,
        transformed(transform.claimPolicyBinding, claimPolicyBinding(policyName), bindingOptions),
        bindingOptions,
      );
    }
  }
}
