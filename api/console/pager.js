// A Pager shows a list page by page, and refreshes the page in view.
import { every, h } from './dom.js';

export class Pager {
  // load(after) shows the page after a place. It resolves to the place after that page, undefined at the end.
  constructor(signal, load) {
    this.load = load;
    this.places = [''];
    this.first = h('button', { type: 'button', onclick: () => this.restart() }, 'First page');
    this.previous = h('button', { type: 'button', onclick: () => { this.places.pop(); this.show(); } }, 'Previous');
    this.next = h('button', { type: 'button', onclick: () => { this.places.push(this.following); this.show(); } }, 'Next');
    this.where = h('span', { class: 'quiet' });
    this.element = h('nav', { class: 'pager', 'aria-label': 'Pages' }, this.first, this.previous, this.next, this.where);
    every(3000, signal, () => this.show());
  }

  restart() {
    this.places = [''];
    return this.show();
  }

  async show() {
    const place = this.places.at(-1);
    const following = await this.load(place);
    if (place !== this.places.at(-1)) return; // another page was chosen meanwhile
    this.following = following;
    this.next.disabled = following === undefined;
    this.previous.disabled = this.first.disabled = this.places.length === 1;
    this.where.textContent = 'Page ' + this.places.length;
    this.element.hidden = following === undefined && this.places.length === 1;
  }
}
