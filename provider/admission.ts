/** What admission control answers instead of doing what was asked. The HTTP status tells nothing: a webhook chooses its own. */
export interface AdmissionRefusal {
  /** `webhook guard.example.com` or `policy no-evictions` */
  by: string;
  /** The webhook doesn't answer, and its failure policy is Fail. */
  isDown: boolean;
}

// kubernetes v1.35 staging/src/k8s.io/apiserver: pkg/admission/plugin/webhook/errors/statuserror.go, pkg/util/webhook/error.go, pkg/admission/plugin/policy/validating/dispatcher.go
const down = /failed calling webhook "([^"]+)"/;
const denied = /admission webhook "([^"]+)" (?:denied|does not)/;
const policy = /AdmissionPolicy '([^']+)'/;

/** Undefined if the API server's message comes from something else. */
export function admissionRefusal(message: string): AdmissionRefusal | undefined {
  const [, silent] = down.exec(message) ?? [];
  if (silent !== undefined) return { by: `webhook ${silent}`, isDown: true };
  const [, webhook] = denied.exec(message) ?? [];
  if (webhook !== undefined) return { by: `webhook ${webhook}`, isDown: false };
  const [, name] = policy.exec(message) ?? [];
  return name === undefined ? undefined : { by: `policy ${name}`, isDown: false };
}
