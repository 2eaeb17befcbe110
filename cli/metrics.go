package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// figures are the values of /metrics: summed by name, and by name and labels.
type figures map[string]float64

func (b Broker) figures(ctx context.Context, c *http.Client) (figures, error) {
	text, err := b.get(ctx, c, "/metrics")
	if err != nil {
		return nil, err
	}
	found := parseFigures(text)
	if _, ok := found["belfry_events_published_total"]; !ok {
		return nil, fmt.Errorf("the server at %s has no metrics of a broker", b.URL)
	}
	return found, nil
}

// parseFigures reads the text format of Prometheus: a name, labels and a value in each
// line. It leaves out buckets of histograms.
func parseFigures(text []byte) figures {
	found := figures{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		end := strings.LastIndexByte(line, ' ')
		if end < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[end+1:], 64)
		series := line[:end]
		name, _, labelled := strings.Cut(series, "{")
		if err != nil || strings.HasSuffix(name, "_bucket") {
			continue
		}
		if found[name] += value; labelled {
			found[series] = value
		}
	}
	return found
}
