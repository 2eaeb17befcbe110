package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// A Problem is the broker's refusal of a call: a problem document (RFC 9457). The call had
// no effect, unless the status is 500.
type Problem struct {
	Status     int           // 400 to 599
	Code       string        // stable; "" if the broker did not answer
	Detail     string        // what happened and what to do
	Index      int           // of the wrong event in the list; -1: not about one
	RetryAfter time.Duration // the least pause before another try; 0: not given
}

func (e *Problem) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("HTTP status %d %s, not from a broker", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s (%d): %s", e.Code, e.Status, e.Detail)
}

// ReadProblem reads an error response and its body.
func ReadProblem(res *http.Response, text []byte) *Problem {
	document := struct {
		Code, Detail string
		Index        *int
	}{}
	p := &Problem{Status: res.StatusCode, Index: -1}
	if json.Unmarshal(text, &document) == nil {
		p.Code, p.Detail = document.Code, document.Detail
	}
	if document.Index != nil {
		p.Index = *document.Index
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	return p
}

// An UnansweredError says that the outcome of a publish is unknown. It is safe to publish
// the same again with Key, within the broker's dedupe_window.
type UnansweredError struct {
	Key string
	Err error // of the last attempt
}

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("it is unknown whether it was published: %v", e.Err)
}

// Unwrap returns the error of the last attempt.
func (e *UnansweredError) Unwrap() error { return e.Err }
