package transport

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// What clients of belfry.v1 ask for.

// maxRef is the length of the longest ref, in bytes of JSON.
const maxRef = 128

// An operation is what a client of belfry.v1 asks for.
type operation struct {
	Op     string         `json:"op"`
	Ref    jsontext.Value `json:"ref"` // a string or a number
	Topics []string       `json:"topics"`
	After  *string        `json:"after"`
	Last   *int           `json:"last"`
	Token  string         `json:"token"`

	Topic     *string        `json:"topic"` // of publish, as those that follow
	Data      jsontext.Value `json:"data"`
	User      *userText      `json:"user_id"`
	ID        *string        `json:"id"`
	Key       *string        `json:"key"`
	ExpiresIn *float64       `json:"expires_in"` // seconds
}

// A userText names a user, in JSON a string or an integer. Both are the same user if they
// read the same.
type userText string

var errUserType = errors.New("neither a string nor an integer")

// UnmarshalJSONFrom reads the text of an integer as it stands.
func (u *userText) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	text := string(value)
	switch value.Kind() {
	case '"':
		unquoted, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return err
		}
		text = string(unquoted)
	case '0':
		if strings.ContainsAny(text, ".eE") {
			return errUserType
		}
		if text == "-0" {
			text = "0"
		}
	default:
		return errUserType
	}
	*u = userText(text)
	return nil
}

func (v1) message(c *conn, m message) {
	if m.op == opBinary {
		c.fault(frameError{closeUnsupportedData, "belfry.v1 has text messages only"})
		return
	}
	op := new(operation)
	err := op.parse(m.data)
	if err == nil {
		err = op.check()
	}
	if err == nil && op.Op == "publish" {
		if err = op.publish(c); err == nil {
			return
		}
	}
	c.publishing.wait()
	if err == nil {
		err = op.do(c)
	}
	op.refuse(c, err)
}

// refuse answers an operation that was not done, if err is not nil.
func (op *operation) refuse(c *conn, err error) {
	no := c.refusal(err, op.Op)
	if no == nil {
		return
	}
	text := appendRef([]byte(`{"type":"error"`), op.Ref)
	text = appendMember(text, `,"code":`, no.code)
	text = appendMember(text, `,"detail":`, string(bytes.ToValidUTF8([]byte(no.detail), []byte("\uFFFD"))))
	op.say(c, append(text, '}'))
}

// say answers an operation. If the hub has ended, so will the connection.
func (op *operation) say(c *conn, text []byte) {
	_ = c.server.hub.Say(&c.Conn, &hub.Frame{Bytes: appendFrame(nil, opText, text)})
}

// parse reads an operation. If it fails, the ref is there, too, if it can be read.
func (op *operation) parse(text []byte) error {
	err := json.Unmarshal(text, op, json.RejectUnknownMembers(true))
	if err != nil {
		// The ref may come after what is wrong.
		var named struct {
			Ref jsontext.Value `json:"ref"`
		}
		_ = json.Unmarshal(text, &named) // what is wrong is known
		op.Ref = named.Ref
	}
	switch op.Ref.Kind() {
	case '"', '0':
		op.Ref = bytes.Clone(op.Ref)
		if len(op.Ref) > maxRef {
			op.Ref = nil
			return &refusal{"invalid_ref", fmt.Sprintf("ref has more than %d bytes", maxRef)}
		}
	case 'n', jsontext.KindInvalid:
		op.Ref = nil
	default:
		op.Ref = nil
		return &refusal{"invalid_ref", "ref is neither a string nor a number"}
	}
	semantic, _ := errors.AsType[*json.SemanticError](err)
	switch {
	case err == nil:
		return nil
	case semantic != nil && errors.Is(err, json.ErrUnknownName):
		return &refusal{"unknown_member", fmt.Sprintf("there is no member %.80q", semantic.JSONPointer.LastToken())}
	case semantic != nil && wrongTypes[semantic.JSONPointer] != nil:
		return wrongTypes[semantic.JSONPointer]
	case semantic != nil && semantic.JSONPointer == "/expires_in" && errors.Is(err, strconv.ErrRange):
		return errExpires // it is a number
	case semantic != nil && semantic.JSONPointer != "":
		return &refusal{"malformed_json", fmt.Sprintf("member %.80q is of another type", semantic.JSONPointer.LastToken())}
	}
	return malformed(text, err)
}

// surplus returns the name of a member that this operation does not have, but others do. A
// client that sends one expects what will not happen.
func (op *operation) surplus() string {
	switch {
	case op.Op != "subscribe" && op.After != nil:
		return "after"
	case op.Op != "subscribe" && op.Last != nil:
		return "last"
	case op.Op != "subscribe" && op.Op != "unsubscribe" && op.Topics != nil:
		return "topics"
	case op.Op != "auth" && op.Token != "":
		return "token"
	case op.Op == "publish":
		return ""
	case op.Topic != nil:
		return "topic"
	case op.Data != nil:
		return "data"
	case op.User != nil:
		return "user_id"
	case op.ID != nil:
		return "id"
	case op.Key != nil:
		return "key"
	case op.ExpiresIn != nil:
		return "expires_in"
	}
	return ""
}

// check reports whether an operation has a member that is not its own.
func (op *operation) check() error {
	switch op.Op {
	case "ping", "subscribe", "unsubscribe", "auth", "publish":
		if name := op.surplus(); name != "" {
			return &refusal{"unknown_member", fmt.Sprintf("%s has no member %q", op.Op, name)}
		}
	}
	return nil
}

// do does an operation.
func (op *operation) do(c *conn) error {
	switch op.Op {
	case "ping":
		op.say(c, append(appendRef([]byte(`{"type":"pong"`), op.Ref), '}'))
		return nil
	case "subscribe":
		return op.subscribe(c)
	case "unsubscribe":
		if err := op.wellFormed(c); err != nil {
			return err
		}
		return c.server.hub.Unsubscribe(&c.Conn, op.Topics, op.Ref)
	case "auth":
		return op.auth(c)
	}
	return &refusal{"unknown_op", "op is one of subscribe, unsubscribe, publish, auth and ping"}
}

func (op *operation) subscribe(c *conn) error {
	if err := op.wellFormed(c); err != nil {
		return err
	}
	var from hub.From
	switch {
	case op.After != nil && op.Last != nil:
		return &refusal{"conflicting_input", "after and last are both given; send one of them"}
	case op.After != nil:
		cursor, ok := hub.ParseCursor(*op.After)
		if !ok {
			return &refusal{"invalid_cursor", fmt.Sprintf("after is not a cursor; send one as it was received, of %d bytes", hub.CursorLen)}
		}
		from.After = &cursor
	case op.Last != nil:
		if from.Last = *op.Last; from.Last < 1 || from.Last > hub.MaxLast {
			return errLast
		}
	}
	return c.server.hub.Subscribe(&c.Conn, hub.Subscribe{Topics: op.Topics, From: from, Ref: op.Ref})
}

// auth renews the grant of a connection that began with a token.
func (op *operation) auth(c *conn) error {
	user, grant, publish, err := c.server.opts.Authenticate(op.Token)
	if err != nil {
		return &refusal{publicText(err), "the token is not accepted"}
	}
	if err := c.server.hub.Renew(&c.Conn, user, grant, op.Ref); err != nil {
		return err
	}
	c.allowPublishing(publish)
	return nil
}

// publish publishes an event. If the connection receives the event, its receipt comes after
// that.
func (op *operation) publish(c *conn) error {
	switch {
	case c.publishing == nil || c.publishing.publish == nil:
		return &refusal{"forbidden", "this connection may not publish: it was not granted"}
	case op.Topic == nil:
		return &refusal{"invalid_topic", "topic is missing; say what to publish to"}
	case op.Data == nil:
		return &refusal{"invalid_message", "data is missing; send any JSON value, null included"}
	}
	ev := hub.PublishRequest{Topic: *op.Topic, Text: op.Data.Kind() == '"', ID: op.ID, Key: op.Key, ExpiresIn: op.ExpiresIn}
	var err error
	if ev.Text {
		ev.Message, err = jsontext.AppendUnquote([]byte{}, op.Data)
	} else if err = op.Data.Compact(); err == nil {
		ev.Message = bytes.Clone(op.Data)
	}
	if err != nil {
		return &refusal{"malformed_json", "data is not JSON"}
	}
	if op.User != nil {
		if ev.User = string(*op.User); ev.User == "" {
			return &refusal{"invalid_user_id", "an empty text is not a user; leave it out"}
		}
	}
	wait, err := c.publishing.publish(ev)
	if err != nil {
		return err
	}
	topic := ev.Topic
	op.Data = nil // so that what is under way holds no message
	c.publishing.add(c, func() {
		receipt, err := wait()
		if err != nil {
			op.refuse(c, err)
			return
		}
		op.say(c, append(AppendReceipt(append(appendRef([]byte(`{"type":"ack"`), op.Ref), `,"receipt":`...), topic, receipt), '}'))
	})
	return nil
}

func (op *operation) wellFormed(c *conn) error {
	switch {
	case len(op.Topics) == 0:
		return &refusal{"invalid_topic", "topics is missing or empty; list some, such as [\"cats\"]"}
	case len(op.Topics) > c.server.limits.Load().MaxSubscriptions:
		return hub.ErrTooManyTopics
	}
	return c.checkTopics(op.Topics)
}
