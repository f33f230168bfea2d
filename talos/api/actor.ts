import { GrpcTalosReader, withLongDeadline, systemImages } from "./client.ts";
import type { ApplyAnswer, CallOptions, TalosActor } from "./talosClient.ts";
import type { TalosConnection } from "./transport.ts";
import * as wire from "./wire.ts";

/** Connects to a node's API with all calls. Only for `provider/gate`: a lint rule keeps every other module from importing it. */
export function connectActor(connection: TalosConnection): TalosActor {
  return new GrpcTalosActor(connection);
}

class GrpcTalosActor extends GrpcTalosReader implements TalosActor {
  async applyConfiguration(
    { data, mode, dryRun = false }: Parameters<TalosActor["applyConfiguration"]>[0],
    call?: CallOptions,
  ): Promise<ApplyAnswer> {
    const request = { data: Buffer.from(data), mode, dryRun };
    return wire.toApplyAnswer(await this.one("ApplyConfiguration", request, withLongDeadline(call)));
  }

  async applyFirstConfiguration(data: string, call?: CallOptions): Promise<ApplyAnswer> {
    // The maintenance service has no mode that doesn't reboot (siderolabs/talos v1.13 internal/app/maintenance/server.go).
    const request = { data: Buffer.from(data), mode: "AUTO" };
    return wire.toApplyAnswer(await this.one("ApplyConfiguration", request, withLongDeadline(call)));
  }

  async install(
    image: string,
    onMessage: (text: string) => void,
    call?: CallOptions,
  ): Promise<number | undefined> {
    let exitCode: number | undefined;
    const request = { containerd: systemImages, source: { imageName: image } };
    for await (const message of this.transport.stream(
      this.api.lifecycle,
      "Upgrade",
      request,
      withLongDeadline(call),
    )) {
      const progress = wire.toInstallProgress(message);
      if (progress.exitCode !== undefined) exitCode = progress.exitCode;
      if (progress.message !== undefined) onMessage(progress.message);
    }
    return exitCode;
  }

  async reboot(call?: CallOptions): Promise<void> {
    await this.one("Reboot", {}, call);
  }

  async reset(call?: CallOptions): Promise<string> {
    const request = {
      graceful: true,
      reboot: true,
      mode: "SYSTEM_DISK",
      // The user's whole disks are never named here.
      systemPartitionsToWipe: ["STATE", "EPHEMERAL"].map((label) => ({ label, wipe: true })),
    };
    const reply = await this.one("Reset", request, withLongDeadline(call));
    return typeof reply["actorId"] === "string" ? reply["actorId"] : "";
  }

  async upgradeLegacy(request: { image: string; preserve: boolean }, call?: CallOptions): Promise<string> {
    const reply = await this.one("Upgrade", request, withLongDeadline(call));
    return typeof reply["actorId"] === "string" ? reply["actorId"] : "";
  }

  async startService(id: string, call?: CallOptions): Promise<void> {
    await this.one("ServiceStart", { id }, call);
  }

  async stopService(id: string, call?: CallOptions): Promise<void> {
    await this.one("ServiceStop", { id }, call);
  }

  async restartService(id: string, call?: CallOptions): Promise<void> {
    await this.one("ServiceRestart", { id }, call);
  }

  async forfeitLeadership(call?: CallOptions): Promise<void> {
    await this.one("EtcdForfeitLeadership", {}, call);
  }

  async etcdDowngrade(action: "enable" | "cancel", version = "", call?: CallOptions): Promise<void> {
    if (action === "enable") await this.one("EtcdDowngradeEnable", { version }, call);
    else await this.one("EtcdDowngradeCancel", {}, call);
  }

  async removeEtcdMember(memberId: string, call?: CallOptions): Promise<void> {
    await this.one("EtcdRemoveMemberByID", { memberId }, call);
  }
}
