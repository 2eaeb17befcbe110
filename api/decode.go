package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// strict are the options for decoding. Unknown members are refused, because a mistyped
// user_id would turn an event for one user into an event for everybody. The other defaults
// are right: names match exactly and occur once, text is UTF-8, and nothing follows the
// value (RFC 7493).
var strict = json.JoinOptions(json.RejectUnknownMembers(true))

// whitespace is what JSON has between its tokens (RFC 8259 section 2).
const whitespace = " \t\r\n"

// marks are the byte order marks, which JSON does not allow (RFC 8259 section 8.1). The
// parser's own error would speak of invalid bytes.
var marks = map[string]*problem{
	"\xef\xbb\xbf": malformedJSON.because("the text begins with a byte order mark; send it without, as \"UTF-8 without BOM\""),
	"\xff\xfe":     malformedJSON.because("the text begins with a byte order mark of UTF-16; send UTF-8, without a mark"),
	"\xfe\xff":     malformedJSON.because("the text begins with a byte order mark of UTF-16; send UTF-8, without a mark"),
}

// checkMark refuses a text with a byte order mark.
func checkMark(text []byte) error {
	for mark, p := range marks {
		if bytes.HasPrefix(text, []byte(mark)) {
			return p
		}
	}
	return nil
}

// decode reads a JSON object into target, a pointer to a struct. An error for an unknown
// member lists the known ones.
func decode(body []byte, target any, maxDepth int, members string) error {
	start := bytes.TrimLeft(body, whitespace)
	switch {
	case len(start) == 0:
		return malformedJSON.because("the body is empty; send a JSON object with " + members)
	case start[0] != '{':
		if err := checkMark(start); err != nil {
			return err
		}
		return noObject(members)
	case isDeeper(body, maxDepth):
		return tooDeepFor(maxDepth)
	}
	if err := json.Unmarshal(body, target, strict); err != nil {
		return decodeProblem(err, members)
	}
	return nil
}

func noObject(members string) error {
	return malformedJSON.because("the body is not a JSON object; send one with " + members)
}

func tooDeepFor(maxDepth int) error {
	return tooDeep.because(fmt.Sprintf("the body nests deeper than %d levels; send a flatter one, or raise max_depth", maxDepth))
}

// decodeList reads a JSON array. It calls take with each element, and reuses the T
// afterwards. Errors contain the element's index.
func decodeList[T any](body []byte, maxDepth int, members string, take func(*T) error) error {
	if start := bytes.TrimLeft(body, whitespace); len(start) == 0 || start[0] != '[' {
		if err := checkMark(start); err != nil {
			return err
		}
		return malformedJSON.because("the body is not a JSON array; send one of objects with " + members)
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body))
	if _, err := dec.ReadToken(); err != nil {
		return decodeProblem(err, members)
	}
	maxDepth = min(maxDepth, maxNesting-1) // the list is a level too
	deep := brackets(body) > maxDepth
	var value, zero T
	for i := 0; dec.PeekKind() != ']' && dec.PeekKind() != jsontext.KindInvalid; i++ {
		value = zero
		var err error
		switch {
		case dec.PeekKind() != '{':
			err = noObject(members)
		case deep && nests(body[dec.InputOffset():], maxDepth):
			err = tooDeepFor(maxDepth)
		default:
			if err = json.UnmarshalDecode(dec, &value, strict); err != nil {
				err = decodeProblem(err, members)
			} else {
				err = take(&value)
			}
		}
		if err != nil {
			return inElement(i, err)
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return decodeProblem(err, members)
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return malformedJSON.because("there is text after the list; send only the list")
	}
	return nil
}

// inElement adds the element's index to a problem.
func inElement(i int, err error) error {
	found, ok := problemOf(err)
	if !ok {
		return err
	}
	p := *found
	p.detail = fmt.Sprintf("element %d of the list: %s", i, p.detail)
	p.index = &i
	return &p
}

// maxNesting is the deepest that the JSON package reads, in levels.
const maxNesting = 10_000

// isDeeper reports whether JSON text nests deeper than limit levels. For other text the
// result is arbitrary.
func isDeeper(body []byte, limit int) bool {
	return brackets(body) > limit && nests(body, limit) // counting is fast, and nearly always enough
}

// brackets counts the characters that may begin a level.
func brackets(body []byte) int {
	return bytes.Count(body, []byte{'{'}) + bytes.Count(body, []byte{'['})
}

// nests is isDeeper for the first value in a text; the rest is ignored.
func nests(body []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			if depth--; depth <= 0 {
				return false
			}
		}
	}
	return false
}

// wrongTypes says which type a member must have.
var wrongTypes = map[string]*problem{
	"topic":     invalidTopic.because("topic is not a string; send a string such as \"cats\""),
	"subject":   invalidTopic.because("subject, the topic, is not a string; send a string such as \"cats\""),
	"topics":    invalidTopic.because("topics is not a list of strings; send one such as [\"cats\", \"dogs\"]"),
	"client_id": invalidClientID.because("client_id is not a string; send the client_id that /register answered"),
}

// decodeProblem turns an error of the JSON package, which speaks of Go types, into a
// problem for clients.
func decodeProblem(err error, members string) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return malformedJSON.because(fmt.Sprintf("%s at byte %d of the body; send JSON as of RFC 7493", syntaxOf(syntactic), syntactic.ByteOffset))
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(err, json.ErrUnknownName) {
			return unknownMember.because(fmt.Sprintf("%.80q is not a member of this call; its members are %s", semantic.JSONPointer.LastToken(), members))
		}
		for name := range semantic.JSONPointer.Tokens() { // below the element's index in a list
			if p := wrongTypes[name]; p != nil {
				return p
			}
			if name == "expires_in" && errors.Is(err, strconv.ErrRange) { // a number out of range
				return errExpiresIn
			}
		}
	}
	return malformedJSON.because("the body is not a JSON object with " + members)
}

func syntaxOf(err *jsontext.SyntacticError) string {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Sprintf("the name %.80q occurs twice", err.JSONPointer.LastToken())
	}
	return strings.TrimPrefix(err.Err.Error(), "jsontext: ")
}
