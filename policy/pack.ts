import { PolicyPack } from "@pulumi/policy";
import { policies } from "./policies.ts";
import { hideSecrets } from "./policyView.ts";

// What `pulumi preview --policy-pack policy` and `pulumi policy analyze` start. `npm run policy` runs the same list without an engine.
hideSecrets();
new PolicyPack("talos-iscsi", { policies });
