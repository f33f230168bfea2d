import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { childMaker } from "./children.ts";
import { definedTolerations } from "./naming.ts";
import { inputError, problemsFromIssues } from "./problems.ts";
import { leaderElectionRules, roleReference, snapshotControllerRules } from "./rbac.ts";
import { sidecarImage } from "./sidecars.ts";
import { snapshotCrds } from "./snapshotCrds.ts";
import { snapshotControllerSchema } from "./snapshotsSettings.ts";
import type { SnapshotControllerSettings, SnapshotControllerSettingsInput } from "./snapshotsSettings.ts";
import type { Transform } from "./transform.ts";

/** Arguments of `SnapshotController`. All have defaults. */
export interface SnapshotControllerArgs extends SnapshotControllerSettingsInput {
  /** Changes to individual children. Default: none. */
  transform?:
    | {
        /** Applied to each of the three CRDs. */
        crd?: Transform<k8s.apiextensions.v1.CustomResourceDefinitionArgs>;
        serviceAccount?: Transform<k8s.core.v1.ServiceAccountArgs>;
        clusterRole?: Transform<k8s.rbac.v1.ClusterRoleArgs>;
        clusterRoleBinding?: Transform<k8s.rbac.v1.ClusterRoleBindingArgs>;
        role?: Transform<k8s.rbac.v1.RoleArgs>;
        roleBinding?: Transform<k8s.rbac.v1.RoleBindingArgs>;
        controller?: Transform<k8s.apps.v1.DeploymentArgs>;
      }
    | undefined;
}

/**
 * What volume snapshots need from the cluster, for any driver: the three snapshot CRDs and the snapshot controller. A cluster needs it exactly once; don't
 * deploy it if the distribution includes it. Drivers with snapshots enabled must depend on it (`dependsOn`).
 *
 * The CRDs stay in the cluster when it is deleted: with them would go every VolumeSnapshot.
 */
export class SnapshotController extends pulumi.ComponentResource {
  /** Namespace of the controller. */
  declare readonly namespace: pulumi.Output<string>;
  /** Name of its Deployment. */
  declare readonly controllerName: pulumi.Output<string>;

  constructor(name: string, args: SnapshotControllerArgs = {}, opts?: pulumi.ComponentResourceOptions) {
    const { transform = {}, ...plain } = args;
    const checked = snapshotControllerSchema.safeParse(plain);
    if (!checked.success)
      throw inputError("SnapshotController", name, problemsFromIssues(checked.error.issues));
    const settings = checked.data;
    super("talos-iscsi:index:SnapshotController", name, { ...plain }, opts);

    const make = childMaker(this, name);
    const metadata = { name: "snapshot-controller", namespace: settings.namespace };
    const subjects = [{ kind: "ServiceAccount", ...metadata }];

    const crds = createCrds();
    const rights = [createAccount(), ...createClusterRights(), ...createLeaseRights()];
    const controller = createController();

    this.namespace = pulumi.output(settings.namespace);
    this.controllerName = controller.metadata.name;
    this.registerOutputs({ namespace: this.namespace, controllerName: this.controllerName });

    function createCrds(): pulumi.Resource[] {
      return Object.entries(snapshotCrds()).map(([plural, args]) =>
        make(k8s.apiextensions.v1.CustomResourceDefinition, {
          suffix: plural,
          transform: transform.crd,
          args,
          // With a CRD go all its objects, and with those the snapshots on the arrays.
          retainOnDelete: true,
        }),
      );
    }

    function createAccount(): pulumi.Resource {
      return make(k8s.core.v1.ServiceAccount, {
        suffix: "account",
        transform: transform.serviceAccount,
        args: { metadata },
      });
    }

    function createClusterRights(): pulumi.Resource[] {
      const roleName = "snapshot-controller-runner";
      const role = make(k8s.rbac.v1.ClusterRole, {
        suffix: "cluster-role",
        transform: transform.clusterRole,
        args: { metadata: { name: roleName }, rules: [...snapshotControllerRules] },
      });
      const binding = make(k8s.rbac.v1.ClusterRoleBinding, {
        suffix: "cluster-role-binding",
        transform: transform.clusterRoleBinding,
        args: {
          metadata: { name: "snapshot-controller-role" },
          subjects,
          roleRef: roleReference("ClusterRole", roleName),
        },
        dependsOn: [role],
      });
      return [role, binding];
    }

    function createLeaseRights(): pulumi.Resource[] {
      if (settings.replicas === 1) return [];
      const leases = { name: "snapshot-controller-leaderelection", namespace: settings.namespace };
      const role = make(k8s.rbac.v1.Role, {
        suffix: "leader-election",
        transform: transform.role,
        args: { metadata: leases, rules: [...leaderElectionRules] },
      });
      const binding = make(k8s.rbac.v1.RoleBinding, {
        suffix: "leader-election-binding",
        transform: transform.roleBinding,
        args: { metadata: leases, subjects, roleRef: roleReference("Role", leases.name) },
        dependsOn: [role],
      });
      return [role, binding];
    }

    function createController() {
      return make(k8s.apps.v1.Deployment, {
        suffix: "controller",
        transform: transform.controller,
        args: snapshotControllerDeployment(settings),
        dependsOn: [...crds, ...rights],
      });
    }
  }
}

/** The controller's Deployment. It satisfies the pod security standard `restricted`. */
function snapshotControllerDeployment(
  settings: SnapshotControllerSettings,
): k8s.types.input.apps.v1.Deployment {
  const labels = {
    "app.kubernetes.io/name": "snapshot-controller",
    "app.kubernetes.io/part-of": "talos-iscsi",
  };
  const selector = { "app.kubernetes.io/name": "snapshot-controller" };
  const several = settings.replicas > 1;
  return {
    metadata: { name: "snapshot-controller", namespace: settings.namespace, labels },
    spec: {
      replicas: settings.replicas,
      selector: { matchLabels: selector },
      // It looks for its CRDs for 30 seconds (--retry-crd-interval-max) and then exits: don't count it as available before that.
      minReadySeconds: 35,
      strategy: several
        ? { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } }
        : { type: "Recreate" },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: "snapshot-controller",
          priorityClassName: "system-cluster-critical",
          nodeSelector: { "kubernetes.io/os": "linux" },
          ...(settings.tolerations.length === 0 ? {} : { tolerations: definedTolerations(settings) }),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65534,
            runAsGroup: 65534,
            seccompProfile: { type: "RuntimeDefault" },
          },
          ...(settings.imagePullSecrets === undefined
            ? {}
            : { imagePullSecrets: settings.imagePullSecrets.map((name) => ({ name })) }),
          containers: [
            {
              name: "snapshot-controller",
              image: sidecarImage("snapshotController", settings),
              imagePullPolicy: "IfNotPresent",
              args: several ? ["--leader-election", `--leader-election-namespace=${settings.namespace}`] : [],
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ["ALL"] },
              },
              resources: { requests: { cpu: "10m", memory: "32Mi" }, limits: { memory: "256Mi" } },
            },
          ],
        },
      },
    },
  };
}
