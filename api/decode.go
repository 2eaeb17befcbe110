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

// strict are the options of decoding: a member that is not known is refused,
// because a mistyped user_id would turn an event for one user into one for
// everybody. Beyond that the defaults are what we want: names count with
// their case and once, text is UTF-8, nothing follows the value (RFC 7493).
var strict = json.JoinOptions(json.RejectUnknownMembers(true))

// whitespace is what JSON has between its tokens (RFC 8259 section 2).
const whitespace = " \t\r\n"

// marks are what a text begins with that has a byte order mark. JSON has none (RFC
// 8259 section 8.1), and a parser's own words about it would be about bytes.
var marks = map[string]*problem{
	"\xef\xbb\xbf": malformedJSON.because("the text begins with a byte order mark; send it without, as \"UTF-8 without BOM\""),
	"\xff\xfe":     malformedJSON.because("the text begins with a byte order mark of UTF-16; send UTF-8, without a mark"),
	"\xfe\xff":     malformedJSON.because("the text begins with a byte order mark of UTF-16; send UTF-8, without a mark"),
}

// checkMark refuses a text that begins with a byte order mark.
func checkMark(text []byte) error {
	for mark, p := range marks {
		if bytes.HasPrefix(text, []byte(mark)) {
			return p
		}
	}
	return nil
}

// decode reads a JSON object into target, a pointer to a struct. The members
// are those that it knows, for who has sent another.
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
	return malformedJSON.because("the body is no JSON object; send one with " + members)
}

func tooDeepFor(maxDepth int) error {
	return tooDeep.because(fmt.Sprintf("the body nests deeper than %d levels; send a flatter one, or raise max_depth", maxDepth))
}

// decodeList reads a JSON array, each element into a T that take is called with,
// and which is another's afterwards. What is wrong is told with the element's place.
func decodeList[T any](body []byte, maxDepth int, members string, take func(*T) error) error {
	if start := bytes.TrimLeft(body, whitespace); len(start) == 0 || start[0] != '[' {
		if err := checkMark(start); err != nil {
			return err
		}
		return malformedJSON.because("the body is no JSON array; send one of objects with " + members)
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body))
	if _, err := dec.ReadToken(); err != nil {
		return decodeProblem(err, members)
	}
	maxDepth = min(maxDepth, maxNesting-1) // the list is a level, too
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
		return malformedJSON.because("something follows the list; send nothing but the list")
	}
	return nil
}

// inElement says in which element of a list something is wrong.
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

// isDeeper reports whether JSON text nests deeper than limit levels. Of what
// is not JSON it may say either.
func isDeeper(body []byte, limit int) bool {
	return brackets(body) > limit && nests(body, limit) // nearly never: counting is fast
}

// brackets counts all that may begin a level.
func brackets(body []byte) int {
	return bytes.Count(body, []byte{'{'}) + bytes.Count(body, []byte{'['})
}

// nests is isDeeper of the first value in a text, whatever follows it.
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

// wrongTypes says what a member is to be that is of another type.
var wrongTypes = map[string]*problem{
	"topic":     invalidTopic.because("topic is no string; send a string such as \"cats\""),
	"subject":   invalidTopic.because("subject, the topic, is no string; send a string such as \"cats\""),
	"topics":    invalidTopic.because("topics is no list of strings; send one such as [\"cats\", \"dogs\"]"),
	"client_id": invalidClientID.because("client_id is no string; send the client_id that /register answered"),
}

// decodeProblem says what a client is told of an error of the JSON package,
// whose own words are about Go types.
func decodeProblem(err error, members string) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return malformedJSON.because(fmt.Sprintf("%s at byte %d of the body; send JSON as of RFC 7493", syntaxOf(syntactic), syntactic.ByteOffset))
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(err, json.ErrUnknownName) {
			return unknownMember.because(fmt.Sprintf("%.80q is no member of this call, which takes %s", semantic.JSONPointer.LastToken(), members))
		}
		for name := range semantic.JSONPointer.Tokens() { // below an element's index, if it is one's
			if p := wrongTypes[name]; p != nil {
				return p
			}
			if name == "expires_in" && errors.Is(err, strconv.ErrRange) { // it is a number
				return errExpiresIn
			}
		}
	}
	return malformedJSON.because("the body is no JSON object with " + members)
}

func syntaxOf(err *jsontext.SyntacticError) string {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Sprintf("the name %.80q comes twice", err.JSONPointer.LastToken())
	}
	return strings.TrimPrefix(err.Err.Error(), "jsontext: ")
}
