package api

import (
	"context"
	"net/url"
	"time"

	"belfry/hub"
)

// An explanation answers GET /clients/{handle}/explain: why a client received an event, or
// did not.
type explanation struct {
	Verdict string        `json:"verdict"`
	Detail  string        `json:"detail"` // what the verdict means, and what to do
	Client  *clientView   `json:"client,omitzero"`
	Event   *eventView    `json:"event,omitzero"`
	Checks  []explainStep `json:"checks"` // in order
}

// An explainStep is one of the conditions for a delivery.
type explainStep struct {
	Check  string `json:"check"`
	Passed *bool  `json:"passed"` // null: unknown, or no longer relevant
	Detail string `json:"detail,omitzero"`
}

// An eventView is an event that is explained.
type eventView struct {
	ID        string `json:"id"`
	Topic     string `json:"topic"`
	Cursor    string `json:"cursor"`
	Time      string `json:"time"`
	User      string `json:"user_id,omitzero"`
	ExpiresAt string `json:"expires_at,omitzero"`
}

// verdicts explain each verdict and say what to do.
var verdicts = map[string]string{
	hub.VerdictUnknownClient:  "there is no such client: it was never registered, it was removed, it expired, or its connection without a registration ended",
	hub.VerdictUnknownEvent:   "unknown: no longer retained, or never published; raise history.events, history.age or history.bytes to keep more",
	hub.VerdictNotSubscribed:  "none of the client's subscriptions matches the topic",
	hub.VerdictNotPermitted:   "the client is not subscribed, and its grant does not allow it to subscribe",
	hub.VerdictOtherUser:      "the event is for another user than the client's",
	hub.VerdictSubscribedLate: "the event was published before the client subscribed; subscribe with after or last to get what is retained",
	hub.VerdictExpired:        "the event expired (expires_in) before it was delivered",
	hub.VerdictNeverConnected: "the client is registered but has not connected yet; it will start with live events, unless it connects with after or last",
	hub.VerdictAway:           "the client is not connected; it receives the event if it returns within resume_window and the event is still retained",
	hub.VerdictReading:        "the client is catching up and has not reached the event yet",
	hub.VerdictQueued:         "the event waits for the client's socket, or belongs to what the client received when it came back",
	hub.VerdictWouldGet:       "an event of the topic would be delivered at once",
	hub.VerdictBeforeStart:    "the event was published before the client's connection began, and the client did not ask for earlier events",
	verdictWritten:            "the event was written to the client's socket; only the page knows whether it has seen it",
}

// verdictWritten is the one verdict that only the courier knows.
const verdictWritten = "written"

func (s *Server) getExplain(x *exchange) (any, error) {
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	topic, event := query.Get("topic"), query.Get("event")
	if (topic == "") == (event == "") {
		return nil, malformedRequest.because("ask for a topic or for an event: ?topic=... or ?event=ID")
	}
	if topic != "" {
		if err := hub.CheckTopic(topic); err != nil && !hub.IsReserved(err) {
			return nil, err
		}
	}
	info, err := s.client(x)
	if err == hub.ErrUnknownClient {
		return explained(hub.Explanation{Verdict: hub.VerdictUnknownClient}, nil), nil
	}
	if err != nil {
		return nil, err
	}
	var found hub.Explanation
	if topic != "" {
		found, err = s.opts.Hub.Explain(info.ID, topic)
	} else {
		found, err = s.opts.Hub.ExplainEvent(info.ID, event)
	}
	if err != nil {
		return nil, err
	}
	s.askCourier(x.r.Context(), &found)
	view := s.views(x.r.Context(), []hub.ClientInfo{info})[0]
	return explained(found, &view), nil
}

// askCourier finds out whether an event that was handed to a courier has been written.
func (s *Server) askCourier(ctx context.Context, x *hub.Explanation) {
	if x.Verdict != hub.VerdictQueued || x.Conn == nil {
		if x.Verdict == hub.VerdictQueued { // its connection has ended
			x.Verdict = verdictWritten
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	if conn := s.opts.Transport.Inspect(ctx, []*hub.Conn{x.Conn})[0]; conn.Written >= x.Event.Cursor.Position || conn.QueueBytes == 0 {
		x.Verdict = verdictWritten
	}
}

func explained(x hub.Explanation, client *clientView) explanation {
	known := x.Verdict != hub.VerdictUnknownClient
	e := explanation{Verdict: x.Verdict, Detail: verdicts[x.Verdict], Client: client}
	add := func(check string, known, passed bool, detail string) {
		step := explainStep{Check: check, Detail: detail}
		if known {
			step.Passed = &passed
		}
		e.Checks = append(e.Checks, step)
	}
	add("registered", true, known, "")
	ended := ""
	if x.HasEnded {
		ended = "the last connection ended: " + x.Ended.String()
	}
	add("connected", known, x.Connected, ended)
	matching := ""
	for i, name := range x.Subscribed {
		if i > 0 {
			matching += ", "
		}
		matching += name
	}
	about := known && x.Verdict != hub.VerdictUnknownEvent
	add("subscribed", about, len(x.Subscribed) > 0, matching)
	add("permitted", about, x.Permitted, "")
	queued := x.Verdict == hub.VerdictQueued || x.Verdict == verdictWritten
	add("queued", about && x.Event != nil, queued, "")
	add("written", about && x.Event != nil, x.Verdict == verdictWritten, "")
	if x.Event != nil {
		ev := x.Event
		e.Event = &eventView{ID: ev.ID, Topic: ev.Topic, Cursor: ev.Cursor.String(), Time: ev.Time.UTC().Format(time.RFC3339Nano), User: ev.User}
		if !ev.Expires.IsZero() {
			e.Event.ExpiresAt = ev.Expires.UTC().Format(time.RFC3339)
		}
	}
	return e
}
