import * as grpc from "@grpc/grpc-js";

/**
 * Calls back once when the engine is gone. A provider whose engine was killed gets no cancel and would keep upgrading alongside the provider of the next
 * `pulumi up`. Its connection to the engine breaks when the engine ends, whatever killed it and on every platform.
 */
export function watchEngine(address: string, gone: () => void): void {
  // The engine runs on this machine; a proxy from the environment can't reach it.
  const engine = new grpc.Client(address, grpc.credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
  const channel = engine.getChannel();
  const look = (): void => {
    const state = channel.getConnectivityState(true);
    // A connection that broke for another reason recovers at once; one to an ended process doesn't. The engine was listening before it started the plugin.
    if (state === grpc.connectivityState.TRANSIENT_FAILURE) {
      engine.close();
      gone();
      return;
    }
    channel.watchConnectivityState(state, Infinity, look);
  };
  look();
}
