import { ApiException } from "@kubernetes/client-node";

/** The answer, or undefined if there is no such object. */
export async function ignoreMissing<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) return undefined;
    throw error;
  }
}
