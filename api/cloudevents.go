package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// This file reads CloudEvents 1.0: the attributes are in a JSON object or in headers. The
// topic is the subject, or comes from the query. Source and id together are the
// idempotency key.

// A cloudEventRequest is a CloudEvent in the JSON format (section 3).
type cloudEventRequest struct {
	SpecVersion string                    `json:"specversion"`
	ID          string                    `json:"id"`
	Source      string                    `json:"source"`
	Type        string                    `json:"type"`
	Subject     string                    `json:"subject"`
	Time        string                    `json:"time"`
	ContentType string                    `json:"datacontenttype"`
	Schema      string                    `json:"dataschema"`
	Data        message                   `json:"data"`
	Base64      *string                   `json:"data_base64"`
	Extensions  map[string]jsontext.Value `json:",embed"`
}

// maxAttributes bounds the further attributes of an event, in bytes of JSON.
const maxAttributes = 8 << 10

const cloudEventMembers = "the attributes of a CloudEvent"

// readCloudEvent reads an event in structured mode.
func (s *Server) readCloudEvent(x *exchange, body []byte, p *publication) error {
	var req cloudEventRequest
	if err := decode(body, &req, x.limits.MaxDepth, cloudEventMembers); err != nil {
		return err
	}
	return s.addCloudEvent(x, &req, p)
}

// readCloudEvents reads a batch.
func (s *Server) readCloudEvents(x *exchange, body []byte, p *publication) error {
	p.several = true
	return decodeList(body, x.limits.MaxDepth, cloudEventMembers, func(req *cloudEventRequest) error {
		return s.addCloudEvent(x, req, p)
	})
}

// addCloudEvent adds an event to a publication.
func (s *Server) addCloudEvent(x *exchange, req *cloudEventRequest, p *publication) error {
	if err := req.check(); err != nil {
		return err
	}
	asked := hub.PublishRequest{
		Topic: req.Subject, ID: &req.ID, Message: req.Data.text, Text: req.Data.quoted,
		Details: &hub.Details{Source: req.Source, Type: req.Type, Published: req.Time, TraceParent: x.trace},
	}
	switch {
	case req.Base64 != nil && req.Data.text != nil:
		return conflictingInput.because("data and data_base64 are both given; send one of them")
	case req.Base64 != nil:
		// the decoder ignores line ends, which are not in the alphabet
		if _, err := base64.StdEncoding.DecodeString(*req.Base64); err != nil || strings.ContainsAny(*req.Base64, "\r\n") {
			return invalidMessage.because("data_base64 is not base64 (RFC 4648 section 4)")
		}
		asked.Message, asked.Text, asked.Details.Base64 = []byte(*req.Base64), true, true
	case req.Data.text == nil:
		asked.Message, asked.Details.NoData = []byte("null"), true // data is optional
	}
	if asked.Topic == "" {
		asked.Topic = x.r.URL.Query().Get("topic")
	}
	if err := req.attributes(&asked); err != nil {
		return err
	}
	ev, err := s.event(&x.caller, &asked)
	if err != nil {
		return err
	}
	p.Events = append(p.Events, ev)
	p.Keys = append(p.Keys, x.keyOf(eventKey, []string{req.Source, req.ID}, ev.Topic, ev.User, req.Type, string(ev.Details.Attributes),
		fmt.Sprint(ev.Text, ev.Details.Base64, ev.Details.NoData), string(ev.Message)))
	return nil
}

// check checks the attributes that every event has (CloudEvents section 3.1). It
// normalizes the event's time.
func (req *cloudEventRequest) check() error {
	switch {
	case req.SpecVersion != "1.0":
		return invalidEvent.because(fmt.Sprintf("specversion is %.20q; send events of version 1.0", req.SpecVersion))
	case !hub.IsName(req.ID):
		return invalidEvent.because(fmt.Sprintf("id must be a text of 1 to %d bytes without control characters", hub.MaxNameBytes))
	case !hub.IsName(req.Type):
		return invalidEvent.because(fmt.Sprintf("type must be a text of 1 to %d bytes without control characters", hub.MaxNameBytes))
	}
	if _, err := url.Parse(req.Source); err != nil || !hub.IsName(req.Source) || !isURI(req.Source) {
		return invalidEvent.because(fmt.Sprintf("source must be a URI reference of 1 to %d bytes", hub.MaxNameBytes))
	}
	if req.Time != "" {
		var ok bool
		if _, req.Time, ok = parseTime(req.Time); !ok {
			return invalidEvent.because("time must be a time of RFC 3339, such as 2026-01-02T03:04:05Z")
		}
	}
	if _, _, err := mime.ParseMediaType(req.ContentType); req.ContentType != "" && (err != nil || !hub.IsName(req.ContentType)) {
		return invalidEvent.because("datacontenttype must be a media type, such as application/json")
	}
	if u, err := url.Parse(req.Schema); req.Schema != "" && (err != nil || !u.IsAbs() || !isURI(req.Schema)) {
		return invalidEvent.because("dataschema must be a URI")
	}
	return nil
}

// isURI reports whether a text has only characters of a URI reference (RFC 3986 section
// 2). [url.Parse] is more tolerant than the readers of the event may be.
func isURI(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '%':
			if i+2 >= len(text) || strings.Trim(text[i+1:i+3], "0123456789abcdefABCDEF") != "" {
				return false
			}
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			return false
		}
	}
	return true
}

// Extensions with a meaning to the broker. It sets sequence itself.
const (
	extensionUser    = "belfryuser"
	extensionExpiry  = "expirytime"
	extensionTrace   = "traceparent"
	extensionCounter = "sequence"
)

// attributes reads the further attributes of an event.
func (req *cloudEventRequest) attributes(ev *hub.PublishRequest) error {
	out := appendAttribute(nil, "datacontenttype", req.ContentType)
	out = appendAttribute(out, "dataschema", req.Schema)
	for _, name := range slices.Sorted(maps.Keys(req.Extensions)) {
		if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return invalidEvent.because(fmt.Sprintf("%.80q is not a name of an attribute; use only a-z and 0-9", name))
		}
		value := req.Extensions[name]
		if value.Kind() == 'n' {
			continue // null is like a missing attribute
		}
		var err error
		if out, err = appendExtension(out, ev, name, value); err != nil {
			return err
		}
	}
	if len(out) > maxAttributes {
		return invalidEvent.because(fmt.Sprintf("the attributes have more than %d bytes; send fewer or shorter ones", maxAttributes))
	}
	ev.Details.Attributes = out
	return nil
}

// appendExtension applies an extension that has a meaning to the broker, and appends the
// attributes for subscribers.
func appendExtension(dst []byte, ev *hub.PublishRequest, name string, value jsontext.Value) ([]byte, error) {
	if name == extensionUser {
		var user userID
		if err := json.Unmarshal(value, &user); err != nil {
			return dst, invalidUserID.because(extensionUser + " must be an integer, or a string of 1 to 255 bytes without control characters")
		}
		ev.User = string(user)
		return dst, nil
	}
	text, err := simple(name, value)
	if err != nil {
		return dst, err
	}
	switch name {
	case extensionExpiry:
		at, written, ok := parseTime(text)
		if !ok {
			return dst, invalidExpiry.because(extensionExpiry + " must be a time of RFC 3339, such as 2026-01-02T03:04:05Z")
		}
		ev.Expires = at
		return appendAttribute(dst, name, written), nil
	case extensionTrace:
		ev.Details.TraceParent = traceParent(text)
		return dst, nil
	case extensionCounter:
		return dst, nil
	}
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return append(dst, value...), nil
}

// simple returns an attribute's value as text. It fails for types that CloudEvents does
// not have (section 2).
func simple(name string, value jsontext.Value) (text string, err error) {
	switch value.Kind() {
	case '{', '[':
		return "", notSimple(name)
	case '0':
		if _, err := strconv.ParseInt(string(value), 10, 32); err != nil {
			return "", notSimple(name)
		}
	case '"':
		unquoted, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return "", invalidEvent.because(fmt.Sprintf("the attribute %s is not text", name))
		}
		return string(unquoted), nil
	}
	return "", nil
}

// notSimple says that an attribute has a value of another type than CloudEvents has
// (section 2).
func notSimple(name string) error {
	return invalidEvent.because(fmt.Sprintf("the attribute %s must be a string, a boolean or an integer of 32 bits", name))
}

func appendAttribute(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	dst, _ = jsontext.AppendQuote(dst, value) // cannot fail: it has been JSON, or was checked
	return dst
}

// readBinaryCloudEvent reads an event in binary mode: its attributes are headers,
// its data is the body (CloudEvents HTTP protocol binding section 3.1).
func (s *Server) readBinaryCloudEvent(x *exchange, body []byte, p *publication) error {
	req := cloudEventRequest{Extensions: make(map[string]jsontext.Value), ContentType: x.r.Header.Get("Content-Type")}
	known := map[string]*string{
		"specversion": &req.SpecVersion, "id": &req.ID, "source": &req.Source, "type": &req.Type, "subject": &req.Subject,
		"time": &req.Time, "dataschema": &req.Schema,
	}
	for header, values := range x.r.Header {
		name, ok := strings.CutPrefix(header, attributePrefix)
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		if name == "data" || name == "datacontenttype" {
			return invalidEvent.because("the data is the body, and Content-Type says what it is; send no " + header)
		}
		value, err := attributeOf(values)
		if err != nil {
			return err
		}
		if to := known[name]; to != nil {
			*to = value
			continue
		}
		quoted, _ := jsontext.AppendQuote(nil, value) // cannot fail: it is UTF-8
		req.Extensions[name] = quoted
	}
	if err := req.readData(x, body); err != nil {
		return err
	}
	return s.addCloudEvent(x, &req, p)
}

// attributePrefix begins the name of a header that holds an attribute.
const attributePrefix = "Ce-"

// unescape returns the content of a quoted string (RFC 9110 section 5.6.4).
func unescape(quoted string) string {
	var text strings.Builder
	for i := 0; i < len(quoted); i++ {
		if quoted[i] == '\\' && i+1 < len(quoted) {
			i++
		}
		text.WriteByte(quoted[i])
	}
	return text.String()
}

// attributeOf decodes the value of a header with an attribute (section 3.1.3.2).
func attributeOf(values []string) (string, error) {
	value := values[0]
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = unescape(value[1 : n-1])
	}
	value, err := url.PathUnescape(value)
	if err != nil || len(values) > 1 || !utf8.ValidString(value) {
		return "", invalidEvent.because("a header with an attribute is given twice, or is not percent-encoded UTF-8")
	}
	return value, nil
}

// readData reads the body as the event's data: JSON or text if its type says so, otherwise
// bytes. Without a type it is text if it is UTF-8.
func (req *cloudEventRequest) readData(x *exchange, body []byte) error {
	media, params, _ := mime.ParseMediaType(req.ContentType)
	switch {
	case len(body) == 0:
	case media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"):
		if err := checkCharset(params); err != nil {
			return err
		}
		return req.readJSON(body, x.limits.MaxDepth)
	case isText(media) && checkCharset(params) == nil && utf8.Valid(body):
		req.Data = message{bytes.Clone(body), true}
	default:
		text := base64.StdEncoding.EncodeToString(body)
		req.Base64 = &text
	}
	return nil
}

// readJSON reads the body as JSON data. It may nest as deep as the data of an event in
// structured mode, where it is one level deeper.
func (req *cloudEventRequest) readJSON(body []byte, maxDepth int) error {
	if isDeeper(body, maxDepth-1) {
		return tooDeep.because(fmt.Sprintf("the data nests deeper than %d levels; send a flatter one, or raise max_depth", maxDepth-1))
	}
	if err := checkMark(body); err != nil {
		return err
	}
	if err := json.Unmarshal(body, &req.Data); err != nil {
		return decodeProblem(err, "any value as data")
	}
	return nil
}

// isText reports whether a media type is text.
func isText(media string) bool {
	switch media {
	case "", "application/xml", "application/x-www-form-urlencoded", "application/javascript":
		return true
	}
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+xml")
}
