import { Comment, Converter, type Application } from "typedoc";
import ts from "typescript";

/**
 * A plugin of typedoc's for the API reference: a setting's meaning stands once, in its schema (`.describe("…")`), and the types that follow from
 * the schema have it as their comment.
 */
export function load(app: Application): void {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.comment !== undefined) return;
    const description = context
      .getSymbolFromReflection(reflection)
      ?.declarations?.map(descriptionOf)
      .find((text) => text !== undefined);
    if (description !== undefined)
      reflection.comment = new Comment(Comment.cloneDisplayParts([{ kind: "text", text: description }]));
  });
}

/** The text in `key: z.string()….describe("…")`, wherever in the chain it stands. */
function descriptionOf(declaration: ts.Declaration): string | undefined {
  if (!ts.isPropertyAssignment(declaration) && !ts.isShorthandPropertyAssignment(declaration))
    return undefined;
  let call: ts.Node = ts.isPropertyAssignment(declaration) ? declaration.initializer : declaration.name;
  while (ts.isCallExpression(call) && ts.isPropertyAccessExpression(call.expression)) {
    const [text] = call.arguments;
    if (call.expression.name.text === "describe" && text !== undefined && ts.isStringLiteralLike(text))
      return text.text;
    call = call.expression.expression;
  }
  return undefined;
}
