import * as z from 'zod';

/** A type without its `readonly`, which schemas cannot express. */
type Plain<T> = { -readonly [K in keyof T]: Plain<T[K]> };

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** The compiler complains about the schema when it is not exactly that of `T`. */
type Matching<T, S extends z.ZodType> =
  Same<Plain<T>, Plain<z.output<S>>> extends true ? S : { readonly differs: [Plain<T>, z.output<S>] };

/**
 * Gives a schema the type of the model that it describes, after the compiler has found both to be the same, and a name:
 * `schemaOf<NetworkInfo>()('NetworkInfo', 'What it is.', z.object({ … }))`.
 * The name is that of the contract's component.
 */
export function schemaOf<T>(): <S extends z.ZodType>(
  name: string,
  description: string,
  schema: S & Matching<T, S>,
) => z.ZodType<T> {
  return (name, description, schema) => {
    z.globalRegistry.add(schema, { id: name, description });
    // `Matching` has proved that the types are the same but for `readonly`.
    return schema as unknown as z.ZodType<T>;
  };
}
