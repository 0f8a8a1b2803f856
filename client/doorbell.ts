/** Remembers that it rang while nobody waited. */
export class Doorbell {
  #rang = false;
  #resolve: (() => void) | undefined;

  ring(): void {
    this.#rang = true;
    this.#resolve?.();
  }

  async wait(): Promise<void> {
    if (!this.#rang) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
      this.#resolve = undefined;
    }
    this.#rang = false;
  }
}
