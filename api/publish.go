package api

import (
	"bytes"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"belfry/api/auth"
	"belfry/hub"
)

// A receipt is the answer about one event of a topic.
type receipt struct {
	s     *Server
	topic string
	hub.Receipt
}

// appendJSON implements [appender].
func (r receipt) appendJSON(dst []byte) []byte {
	return r.s.opts.Transport.AppendReceipt(dst, r.topic, r.Receipt)
}

// receipts are the answers about several events, in order.
type receipts struct {
	s      *Server
	events []hub.Event
	all    []hub.Receipt
}

// appendJSON implements [appender].
func (r receipts) appendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range r.all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = r.s.opts.Transport.AppendReceipt(dst, r.events[i].Topic, r.all[i])
	}
	return append(dst, ']')
}

// A publication has the events of one request.
type publication struct {
	hub.Publication
	several bool // the request is a list, and so is the answer
}

func (s *Server) postPublish(x *exchange) (any, error) {
	if err := s.checkMemory(needOf(x.who)); err != nil {
		return nil, err
	}
	if err := s.spendRequestQuota(x, 1, 0); err != nil {
		return nil, err
	}
	x.trace = traceParent(x.r.Header.Get("Traceparent"))
	p, err := s.publication(x)
	if err != nil || p == nil {
		return nil, err
	}
	return s.publish(x, p)
}

// publication reads the events of a request. It returns nil for a stream, which it
// publishes and answers itself.
func (s *Server) publication(x *exchange) (*publication, error) {
	format, err := formatOf(x.r.Header)
	if err != nil {
		return nil, err
	}
	if format == ndjson {
		return nil, s.publishStream(x)
	}
	body, err := x.readBody()
	if err == nil {
		err = s.refresh(&x.caller, has(auth.Publish)) // reading the body may take a while
	}
	if err != nil {
		return nil, err
	}
	var p publication
	switch format {
	case cloudEvent:
		err = s.readCloudEvent(x, body, &p)
	case cloudEventBatch:
		err = s.readCloudEvents(x, body, &p)
	case cloudEventBinary:
		err = s.readBinaryCloudEvent(x, body, &p)
	default:
		err = s.readEvents(x, body, &p)
	}
	if err == nil {
		err = x.idempotencyKey(format, body, &p)
	}
	return &p, err
}

// publish publishes what was read. If the caller has gone, it publishes nothing.
func (s *Server) publish(x *exchange, p *publication) (any, error) {
	if n := len(p.Events); n > 1 {
		if err := s.spendRequestQuota(x, n-1, 1); err != nil {
			return nil, err
		}
	}
	if !p.several && p.Keys == nil && p.Key == (hub.Key{}) {
		done, err := s.opts.Hub.Publish(x.r.Context(), p.Events[0])
		if err != nil {
			return nil, err
		}
		s.metrics.published(x.start)
		return receipt{s, p.Events[0].Topic, done}, nil
	}
	done, err := s.opts.Hub.PublishAll(x.r.Context(), p.Publication)
	if err != nil {
		return nil, err
	}
	s.metrics.published(x.start)
	if p.several {
		return receipts{s, p.Events, done}, nil
	}
	return receipt{s, p.Events[0].Topic, done[0]}, nil
}

// usualEvents is the initial capacity for the events of a list.
const usualEvents = 128

// readEvents reads an event, or a list of them.
func (s *Server) readEvents(x *exchange, body []byte, p *publication) error {
	if start := bytes.TrimLeft(body, whitespace); len(start) > 0 && start[0] == '[' {
		p.several = true
		p.Events = make([]hub.Event, 0, min(bytes.Count(start, []byte{'{'}), usualEvents))
		return decodeList(body, x.limits.MaxDepth, publishMembers, func(req *publishRequest) error {
			asked := req.request()
			ev, err := s.event(&x.caller, &asked)
			p.Events = append(p.Events, ev)
			return err
		})
	}
	var req publishRequest
	if err := decode(body, &req, x.limits.MaxDepth, publishMembers); err != nil {
		return err
	}
	asked := req.request()
	ev, err := s.event(&x.caller, &asked)
	p.Events = []hub.Event{ev}
	return err
}

// A format is the representation of the events in a body.
type format uint8

const (
	plain            format = iota // our own object or list
	ndjson                         // one object in each line
	cloudEvent                     // CloudEvents HTTP protocol binding section 3.2, structured mode
	cloudEventBatch                // section 3.3
	cloudEventBinary               // section 3.1
)

var formats = map[string]format{
	"application/x-ndjson":               ndjson,
	"application/ndjson":                 ndjson,
	"application/cloudevents+json":       cloudEvent,
	"application/cloudevents-batch+json": cloudEventBatch,
}

// formatOf returns the format of a request's body.
func formatOf(header http.Header) (format, error) {
	given := header.Get("Content-Type")
	if given == "application/json" && header["Ce-Specversion"] == nil {
		return plain, checkContent(header) // the usual case
	}
	media, params, err := mime.ParseMediaType(given)
	if f, ok := formats[media]; ok && err == nil {
		if err := checkCharset(params); err != nil {
			return plain, err
		}
		return f, checkCoding(header)
	}
	if strings.HasPrefix(media, "application/cloudevents") {
		return plain, unsupportedMedia.because("the broker reads CloudEvents only in JSON; send application/cloudevents+json").with("Accept", acceptableTypes)
	}
	if header["Ce-Specversion"] != nil {
		return cloudEventBinary, checkCoding(header)
	}
	return plain, checkContent(header)
}

// idempotencyKey reads the header Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header section 2). It is a string in quotes, or
// without them, as many clients send it.
func (x *exchange) idempotencyKey(f format, body []byte, p *publication) error {
	given := x.r.Header["Idempotency-Key"]
	if given == nil {
		return nil
	}
	key := given[0]
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	if len(given) > 1 || !isKey(key) {
		return invalidKey.because("Idempotency-Key must be given once, with 1 to 255 printable ASCII characters; send one such as a UUID")
	}
	p.Key = x.keyOf(givenKey, []string{key}, x.asked(f, body)...)
	return nil
}

// asked returns everything that identifies what a request publishes. Credentials and
// headers of proxies are not part of it, because a repeated request may have others.
func (x *exchange) asked(f format, body []byte) []string {
	parts := []string{"request", strconv.Itoa(int(f)), x.r.URL.Query().Get("topic"), string(body)}
	if f != cloudEventBinary {
		return parts
	}
	parts = append(parts, x.r.Header.Get("Content-Type"))
	for _, name := range slices.Sorted(maps.Keys(x.r.Header)) {
		if strings.HasPrefix(name, attributePrefix) {
			parts = append(append(parts, name), x.r.Header[name]...)
		}
	}
	return parts
}

// isKey reports whether a text is a valid key: printable ASCII, because it comes in a
// header.
func isKey(text string) bool {
	return text != "" && len(text) <= hub.MaxNameBytes && !strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e })
}
