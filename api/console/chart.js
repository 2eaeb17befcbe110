// A sparkline: the last two minutes of a figure.
import { h } from './dom.js';

const width = 240, height = 48, fewest = 30, points = 120;

export class Sparkline {
  constructor() {
    this.values = [];
    this.line = h('polyline', { class: 'line', fill: 'none' });
    this.area = h('polygon', { class: 'area' });
    // The same figures stand beside it as text.
    this.element = h('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.area, this.line);
  }

  add(value) {
    this.values.push(value ?? 0);
    if (this.values.length > points) this.values.shift();
    const most = Math.max(...this.values, 1e-9);
    const across = Math.max(fewest, this.values.length);
    const step = width / (across - 1);
    const first = across - this.values.length;
    const corners = this.values.map((v, i) => `${((first + i) * step).toFixed(1)},${(height - 2 - (v / most) * (height - 6)).toFixed(1)}`);
    this.line.setAttribute('points', corners.join(' '));
    this.area.setAttribute('points', `${(first * step).toFixed(1)},${height} ${corners.join(' ')} ${width},${height}`);
  }
}
