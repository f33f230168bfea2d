import { hardwareInConfiguration } from "../../talos/hardware/wanted.ts";
import type { CodedText } from "../../talos/errorCodes.ts";
import type { NodeConfigurationInputs } from "../../talos/inputs/nodeConfiguration.ts";
import { checkHardware, type HardwareCall } from "../hardware.ts";
import { ConfigurationError } from "./look.ts";

/**
 * Compares a machine with its first configuration right before it is sent. The check of all machines may not have seen this one: it was off, or it was
 * reinstalled with other disks.
 * @throws ConfigurationError if the machine lacks what it names
 */
export async function requireHardware(call: HardwareCall, wanted: NodeConfigurationInputs): Promise<void> {
  const { name, node, endpoint, clientConfiguration, machineConfiguration, checkHardware: check } = wanted;
  if (check === "off") return;
  const endpoints = endpoint === undefined ? wanted.endpoints : { ...wanted.endpoints, [node]: [endpoint] };
  const hardware = {
    ...(check === undefined ? {} : { check }),
    named: { [name]: hardwareInConfiguration(machineConfiguration) },
  };
  const [refused] = await checkHardware(
    call,
    {},
    { nodes: { [name]: { node } }, clientConfiguration, endpoints, hardware },
  );
  if (refused !== undefined) throw new ConfigurationError(refused.reason as CodedText);
}
