import * as grpc from "@grpc/grpc-js";

/**
 * Calls back once when the engine is gone. A provider whose engine was killed gets no cancel and would go on upgrading, beside the
 * provider of the next `pulumi up`. Its connection to the engine ends with the engine, whatever killed it and on every platform.
 */
export function watchEngine(address: string, gone: () => void): void {
  // The engine is on this machine: a proxy of the environment knows no way to it.
  const engine = new grpc.Client(address, grpc.credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
  const channel = engine.getChannel();
  const look = (): void => {
    const state = channel.getConnectivityState(true);
    // A connection that broke for another reason comes back at once; to a process that is gone it does not. The engine listened before it started the plugin.
    if (state === grpc.connectivityState.TRANSIENT_FAILURE) {
      engine.close();
      gone();
      return;
    }
    channel.watchConnectivityState(state, Infinity, look);
  };
  look();
}
