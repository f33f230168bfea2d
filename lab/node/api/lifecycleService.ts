import { status } from "@grpc/grpc-js";
import { CallFailure, asCallFailure } from "../machine/failure.ts";
import type { CallContext, Send } from "./handlers.ts";
import { pinned, type NodeImage } from "../machine/images.ts";
import { isKubernetesImage } from "../machine/kubernetesImages.ts";
import { InstallLog } from "../disk/installLog.ts";
import { install, pull } from "../disk/installer.ts";
import type { Machine } from "../machine/machine.ts";
import type { ServedMachine } from "./apid.ts";
import { booted } from "../services/sequence.ts";

interface InstallRequest {
  source: { imageName: string } | null;
}

/** The upgrade API of Talos 1.13 and newer: it pulls images and runs installers, with progress, and does nothing else. */
export function registerLifecycleService(node: ServedMachine): void {
  const { handlers } = node;
  let installing = false;

  handlers.stream<InstallRequest>("/machine.LifecycleService/Upgrade", async (request, send, context) => {
    if (installing || node.faults.strikes("upgrade-locked")) {
      throw new CallFailure(
        status.FAILED_PRECONDITION,
        "another installation/upgrade is already in progress",
      );
    }
    if (node.disk.active === undefined)
      throw new CallFailure(status.FAILED_PRECONDITION, "machine is not installed");
    installing = true;
    try {
      await upgrade(node, request.source?.imageName ?? "", imageOf(node, request), send, context);
    } finally {
      installing = false;
    }
  });

  handlers.stream<InstallRequest>("/machine.LifecycleService/Install", async (request, send, { signal }) => {
    if (node.disk.active !== undefined)
      throw new CallFailure(status.ALREADY_EXISTS, "machine is already installed");
    const image = imageOf(node, request);
    const exitCode = await install(
      node,
      image,
      "apply",
      (message) => send({ progress: { message } }),
      signal,
    );
    send({ progress: { exitCode } });
  });

  handlers.stream<{ imageRef: string }>(
    "/machine.ImageService/Pull",
    async ({ imageRef }, send, { signal }) => {
      const total = 100 << 20;
      const image = await pull(node, imageRef, signal, (share) =>
        send({
          pullProgress: {
            layerId: "layer-0",
            progress: {
              status: share < 1 ? "DOWNLOADING" : "DOWNLOAD_COMPLETE",
              offset: String(Math.round(total * share)),
              total: String(total),
            },
          },
        }),
      );
      send({ name: pinned(image) });
    },
  );

  handlers.stream("/machine.ImageService/List", async (_, send) => {
    for (const [name, { digest }] of Object.entries(node.disk.images))
      send({ name, digest, size: "104857600" });
  });

  handlers.unary<{ imageRef: string }>("/machine.ImageService/Remove", ({ imageRef }) => {
    if (node.disk.images[imageRef] === undefined) {
      throw new CallFailure(status.NOT_FOUND, `image "${imageRef}": not found`);
    }
    delete node.disk.images[imageRef];
    node.saveDisk();
    return {};
  });

  // The same for Kubernetes' own images, in the API of Talos 1.12 and older.
  handlers.unary<{ reference: string }>(
    "/machine.MachineService/ImagePull",
    async ({ reference }, { signal }) => {
      if (isKubernetesImage(reference)) await pullComponent(node, reference);
      else await pull(node, reference, signal);
      return { messages: [{}] };
    },
  );
  handlers.stream("/machine.MachineService/ImageList", async (_, send) => {
    for (const [name, { digest }] of Object.entries(node.disk.images))
      send({ name, digest, size: "104857600" });
  });
}

/** An image of a Kubernetes component, available from the release registries. */
async function pullComponent(node: Machine, reference: string): Promise<void> {
  if (node.faults.strikes("pull-not-found")) {
    throw new CallFailure(status.NOT_FOUND, `error pulling image: ${reference}: not found`);
  }
  if (node.faults.strikes("pull-fails")) {
    throw new CallFailure(status.UNKNOWN, `failed to pull image "${reference}": 503 Service Unavailable`);
  }
  await booted(node).sleep(node.timings.pullSeconds * 0.1);
  node.componentImages.add(reference);
}

/** The image must have been pulled before: installing doesn't pull. */
function imageOf(node: Machine, { source }: InstallRequest): NodeImage {
  const name = source?.imageName ?? "";
  if (name === "") throw new CallFailure(status.INVALID_ARGUMENT, "installer image name is required");
  const image = node.disk.images[name];
  if (image === undefined) {
    throw new CallFailure(
      status.INTERNAL,
      `upgrade failed: installer image "${name}" not found in containerd store: image "${name}": not found`,
    );
  }
  return image;
}

async function upgrade(
  node: ServedMachine,
  imageName: string,
  image: NodeImage,
  send: Send,
  { signal }: CallContext,
): Promise<void> {
  const boot = booted(node);
  const { faults } = node;
  const log = new InstallLog(boot);
  log.begin(imageName);
  // An installer keeps running after its caller is gone; only a power loss ends it.
  const running = new AbortController();
  const partly = node.timings.installSeconds * faults.factor("slow-install") * 0.4;
  const afterAWhile = (happens: () => void) => void boot.sleep(partly).then(happens, () => {});
  if (faults.strikes("stream-breaks")) afterAWhile(() => node.wire.cut());
  if (faults.strikes("reboots-during-install")) {
    afterAWhile(() => {
      running.abort();
      node.powerCut("reboot");
    });
  }
  try {
    const exitCode = await install(
      node,
      image,
      "lifecycle",
      (message) => {
        log.progress(message.trimEnd());
        send({ progress: { message } });
      },
      AbortSignal.any([boot.power, running.signal]),
    );
    log.end(exitCode);
    if (faults.strikes("stream-breaks-late")) node.wire.cut();
    send({ progress: { exitCode } });
  } catch (error) {
    if (signal.aborted || running.signal.aborted)
      throw new CallFailure(status.UNAVAILABLE, "connection closed");
    throw new CallFailure(status.INTERNAL, `upgrade failed: ${asCallFailure(error).message}`);
  }
}
