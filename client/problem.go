package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// A Problem is the broker's answer to a call that it has refused: a problem
// document (RFC 9457). What was refused had no effect, unless it is of status
// 500.
type Problem struct {
	Status     int           // 400 to 599
	Code       string        // stable; "" if it is not the broker that has answered
	Detail     string        // what to do, for people
	Index      int           // of the event that is wrong, in the list that was sent; -1 if it is none
	RetryAfter time.Duration // when to try again, at the earliest; 0 if the broker does not say
}

func (e *Problem) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("HTTP status %d %s, and no broker's answer", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s (%d): %s", e.Code, e.Status, e.Detail)
}

// ReadProblem reads an answer that is no success, and its body.
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

// An UnansweredError is a publish of which is not known whether it has had its
// effect. Publishing the same again with Key, within the broker's
// dedupe_window, is safe.
type UnansweredError struct {
	Key string
	Err error // of the last attempt
}

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("whether it was published is not known: %v", e.Err)
}

// Unwrap returns the error of the last attempt.
func (e *UnansweredError) Unwrap() error { return e.Err }
