"use strict";
// The heat map: cells on a canvas, axes by uPlot. Low addresses are at the top, as in the terminal.

const NOT_MONITORED = 255;
const NOTHING_KNOWN = 254;
const FULL = 253;
// The scale of the terminal's pictures: brightness rises steadily, so the order survives in grey.
const ANCHORS = [[0, [24, 26, 52]], [0.25, [90, 36, 130]], [0.5, [196, 56, 92]], [0.75, [244, 136, 44]], [1, [255, 240, 150]]];

function colour(share) {
  const upper = Math.max(1, ANCHORS.findIndex(([at]) => at >= share));
  const [low, from] = ANCHORS[upper - 1], [high, to] = ANCHORS[upper];
  return from.map((value, i) => Math.round(value + (to[i] - value) * (share - low) / (high - low)));
}
const PALETTE = Array.from({ length: FULL + 1 }, (_, i) => colour(i / FULL));

// Addresses need more than the 53 bits of a number.
function addressOf(area, cell) {
  return BigInt(area.start) + BigInt(area.bytes) * BigInt(cell) / BigInt(area.nr_cells);
}

function clocks(plot, splits, axis, space, step) {
  const parts = { hour: "2-digit", minute: "2-digit", second: step < 60 ? "2-digit" : undefined, hour12: false };
  const day = step >= 86400 ? { month: "short", day: "numeric" } : {};
  return splits.map((s) => new Date(1000 * s).toLocaleString([], { ...parts, ...day }));
}

// A canvas takes no variables of the style sheet: ask an element for the colour that one has by now.
const inkProbe = document.body.appendChild(document.createElement("i"));
function inkOf(variable) {
  inkProbe.style.color = `var(${variable})`;
  return getComputedStyle(inkProbe).color;
}

function drawScale(canvas) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = `rgb(${PALETTE[Math.round(x * FULL / (canvas.width - 1))]})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
}

class HeatMap {
  constructor(element, onCell) {
    this.element = element;
    this.onCell = onCell;
    this.map = null;
    this.plot = null;
    this.image = document.createElement("canvas");
    new ResizeObserver(() => this.resize()).observe(element);
  }

  show(map) {
    this.map = map;
    if (map === null) {
      this.plot?.destroy();
      this.plot = null;
      return;
    }
    this.cells = bytesOf(map.cells);
    this.paint();
    if (this.plot === null) this.make();
    this.plot.setData([[map.start_ms / 1000, map.end_ms / 1000], [0, map.nr_addrs]]);
  }

  paint() {
    const { nr_times: times, nr_addrs: addrs } = this.map;
    this.image.width = times;
    this.image.height = addrs;
    this.paper = inkOf("--card").match(/[\d.]+/g).slice(0, 3).map(Number);
    const context = this.image.getContext("2d"), picture = context.createImageData(times, addrs);
    for (let time = 0; time < times; time++) {
      for (let addr = 0; addr < addrs; addr++) {
        const heat = this.cells[time * addrs + addr];
        if (heat === NOT_MONITORED) continue;
        const rgb = heat === NOTHING_KNOWN ? this.paper : PALETTE[heat];
        picture.data.set([...rgb, 255], 4 * (addr * times + time));
      }
    }
    context.putImageData(picture, 0, 0);
  }

  height() { return Math.max(220, Math.min(460, Math.round(window.innerHeight * 0.45))); }

  make() {
    const ink = () => inkOf("--ink");
    const y = (plot, value) => plot.valToPos(value, "y", true);
    this.plot = new uPlot({
      width: this.element.clientWidth, height: this.height(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: true, range: (_, low, high) => [low, high] }, y: { dir: -1, range: () => [0, this.map.nr_addrs] } },
      series: [{}, { show: true, stroke: "transparent", points: { show: false } }],
      axes: [
        { stroke: ink, space: 80, grid: { show: false }, values: clocks },
        {
          stroke: ink, grid: { show: false }, size: this.element.clientWidth < 500 ? 104 : 128, font: "11px ui-monospace, monospace",
          splits: () => this.ticks().map(([cell]) => cell),
          values: () => this.ticks().map(([, address]) => `0x${address.toString(16)}`),
        },
      ],
      hooks: {
        drawClear: [(plot) => {
          const context = plot.ctx, { left, top, width, height } = plot.bbox;
          context.save();
          context.beginPath();
          context.rect(left, top, width, height);
          context.clip();
          hatch(context, left, top, width, height);
          context.imageSmoothingEnabled = false;
          context.drawImage(this.image, left, top, width, height);
          context.restore();
        }],
        draw: [(plot) => this.drawFolds(plot, y, ink())],
        setCursor: [(plot) => this.point(plot)],
      },
    }, [[0, 1], [0, 1]], this.element);
  }

  // Addresses beside the picture: where each area begins, and between as far as there is room.
  ticks() {
    const perCell = this.plot ? this.plot.over.clientHeight / this.map.nr_addrs : 2;
    const step = Math.max(1, Math.ceil(36 / perCell)), ticks = [];
    for (const area of this.map.areas) {
      for (let cell = 0; cell === 0 || cell <= area.nr_cells - step / 2; cell += step) {
        if (cell > 0 || ticks.length === 0 || area.first - ticks.at(-1)[0] >= step / 2) ticks.push([area.first + cell, addressOf(area, cell)]);
      }
    }
    return ticks;
  }

  // What is left out between two areas: a line with its size, so that nobody takes them for neighbours.
  drawFolds(plot, y, ink) {
    const context = plot.ctx, { left, width } = plot.bbox;
    context.save();
    context.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    context.textAlign = "center";
    this.map.areas.slice(1).forEach((area, i) => {
      const words = this.map.folds[i + 1];
      if (!words) return;
      const at = y(plot, area.first), text = `⋯ ${words} ⋯`, half = context.measureText(text).width / 2 + 6;
      context.fillStyle = inkOf("--card");
      context.fillRect(left, at - 2, width, 4);
      context.fillRect(left + width / 2 - half, at - 8 * devicePixelRatio, 2 * half, 16 * devicePixelRatio);
      context.fillStyle = ink;
      context.fillText(text, left + width / 2, at + 4 * devicePixelRatio);
    });
    context.restore();
  }

  point(plot) {
    const { left, top } = plot.cursor;
    if (left < 0 || top < 0) return this.onCell(null);
    const { nr_times: times, nr_addrs: addrs, start_ms: start, end_ms: end, areas } = this.map;
    const time = Math.min(times - 1, Math.floor(left / plot.over.clientWidth * times));
    const addr = Math.min(addrs - 1, Math.floor(top / plot.over.clientHeight * addrs));
    const area = areas.findLast((each) => each.first <= addr);
    const size = BigInt(area.bytes) / BigInt(area.nr_cells), from = addressOf(area, addr - area.first);
    const heat = this.cells[time * addrs + addr];
    const words = heat === NOT_MONITORED ? "not monitored" : heat === NOTHING_KNOWN ? "nothing known" : null;
    this.onCell({ time_ms: start + (end - start) * (time + 0.5) / times, from, size: Number(size), share: heat / FULL, words, name: area.names[addr - area.first] });
  }

  resize() {
    this.plot?.setSize({ width: this.element.clientWidth, height: this.height() });
  }
}

function hatch(context, left, top, width, height) {
  context.strokeStyle = inkOf("--line");
  context.fillStyle = "rgba(128, 128, 128, 0.08)";
  context.fillRect(left, top, width, height);
  context.beginPath();
  for (let x = left - height; x < left + width; x += 8 * devicePixelRatio) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
}
