/** The handler that counts now, so that a reload can put another in its place. */
import type { RequestHandler, RequestHead, Resolution } from '../plane/entry.ts';

export class CurrentHandler implements RequestHandler {
  #current: RequestHandler;

  constructor(handler: RequestHandler) {
    this.#current = handler;
  }

  replace(handler: RequestHandler): void {
    this.#current = handler;
  }

  async resolve(request: RequestHead): Promise<Resolution> {
    const handler = this.#current;
    const resolution = await handler.resolve(request);
    // Begun under the old policy and done under the new: right for this request, but not to be kept, since
    // nothing that it depends on would ever show that the policy changed.
    if (handler === this.#current || resolution.kind === 'segments') return resolution;
    return { ...resolution, cacheable: false };
  }

  errorPage(status: number): { headers: string; body: Uint8Array } {
    return this.#current.errorPage(status);
  }
}
