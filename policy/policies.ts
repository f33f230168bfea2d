import type { Policies } from "@pulumi/policy";
import { oddControlPlanes } from "./controlPlanes.ts";
import { imagesPinned, installerFromFactory, noLatest } from "./images.ts";
import { podSecurityExemptions, privilegedNamespaces } from "./namespaces.ts";
import { noPlaintextOutputs, noPlaintextSecrets } from "./secrets.ts";
import { upgradeSkew } from "./skew.ts";

/** Every policy of the pack, in the order that docs/policy.md has them. */
export const policies: Policies = [
  noPlaintextSecrets,
  noPlaintextOutputs,
  oddControlPlanes,
  imagesPinned,
  noLatest,
  installerFromFactory,
  upgradeSkew,
  privilegedNamespaces,
  podSecurityExemptions,
];
