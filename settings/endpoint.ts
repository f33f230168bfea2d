import type { Problem } from "../components/csi/problems.ts";
import { at } from "./raw.ts";

/** An endpoint without a port means 443, which is right behind some load balancers and a slip everywhere else. */
export function checkEndpoint(raw: unknown, warnings: Problem[]): void {
  const endpoint = at(raw, "cluster", "endpoint");
  if (typeof endpoint !== "string" || !/^https:\/\/[^/]+$/.test(endpoint) || /:\d+$/.test(endpoint)) return;
  warnings.push({
    path: "cluster.endpoint",
    reason: `is ${endpoint}, without a port, so that clients use 443; Talos's kube-apiserver listens on 6443. Write ${endpoint}:6443, or ${endpoint}:443 where a load balancer listens there`,
  });
}
