package bench

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// The dimensions of the picture, in pixels.
const (
	plotWidth, plotHeight = 640, 240
	plotMargin            = 40
	plotBars              = 80
)

// svg draws the distribution of latencies on a logarithmic scale.
func (t *report) svg() []byte {
	h := &t.latencies
	low := math.Log(float64(max(h.quantile(0), time.Microsecond)))
	high := max(math.Log(float64(h.max)+1), low+1e-6)
	at := func(d time.Duration) float64 {
		return min(max((math.Log(float64(max(d, 1)))-low)/(high-low), 0), 1)
	}
	var bars [plotBars]float64
	tallest := 1.0
	for i, n := range h.counts {
		if n > 0 {
			bar := &bars[min(int(at(least(i))*plotBars), plotBars-1)]
			*bar += float64(n)
			tallest = max(tallest, *bar)
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		plotWidth+2*plotMargin, plotHeight+3*plotMargin)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&out, `<text x="%d" y="20">latency of %d deliveries to %d connections (%s, %d bytes), logarithmic</text>`+"\n",
		plotMargin, h.total, t.Connections, t.Transport, t.Size)
	const bottom = plotMargin + plotHeight
	for i, n := range bars {
		height := n / tallest * plotHeight
		fmt.Fprintf(&out, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="steelblue"/>`+"\n",
			plotMargin+i*plotWidth/plotBars, bottom-height, plotWidth/plotBars-1, height)
	}
	for i, mark := range []struct {
		name  string
		value time.Duration
	}{{"p50", h.quantile(0.5)}, {"p90", h.quantile(0.9)}, {"p99", h.quantile(0.99)}, {"p99.9", h.quantile(0.999)}, {"max", h.max}} {
		x := plotMargin + at(mark.value)*plotWidth
		y := bottom + 14 + 12*i // one below the other, because they may be close
		fmt.Fprintf(&out, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="firebrick" stroke-dasharray="2"/>`+"\n", x, x, plotMargin, y)
		fmt.Fprintf(&out, `<text x="%.1f" y="%d" text-anchor="end">%s %.3f ms</text>`+"\n", x-2, y, mark.name, milliseconds(mark.value))
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}
