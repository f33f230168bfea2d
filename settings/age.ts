import { Encrypter } from "age-encryption";

/** Is it a recipient that age can encrypt to (`age1…`)? A mistyped one has a wrong checksum. */
export function isAgeRecipient(text: string): boolean {
  try {
    new Encrypter().addRecipient(text);
    return true;
  } catch {
    return false;
  }
}
