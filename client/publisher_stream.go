package client

import (
	"context"
	"io"
)

// A Summary is the answer about a stream of events.
type Summary struct {
	Accepted    int         `json:"accepted"`
	Rejected    int         `json:"rejected"` // lines
	FirstCursor string      `json:"first_cursor,omitempty"`
	LastCursor  string      `json:"last_cursor,omitempty"`
	Errors      []LineError `json:"errors"` // of the first 100 rejected lines
}

// A LineError says why a line was not published.
type LineError struct {
	Line   int    `json:"line"` // from 1
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Stream publishes the events of a text, one JSON object in each line (NDJSON), with
// members like those of [Publication]. The broker publishes them as they come. It rejects
// lines one by one: see [Summary.Rejected].
//
// A stream is not tried again. If it fails with another error than a [*Problem], it is
// unknown how much was published.
func (p *Publisher) Stream(ctx context.Context, lines io.Reader) (*Summary, error) {
	summary := new(Summary)
	err := p.post(ctx, lines, "application/x-ndjson", summary)
	return summary, err
}
