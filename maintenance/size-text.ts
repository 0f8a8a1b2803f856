const MB = 1024 * 1024;

/** Returns the size as a text for people, rounded up to a tenth of a megabyte. */
export const sizeText = (bytes: number): string => `${Math.ceil((10 * bytes) / MB) / 10} MB`;
