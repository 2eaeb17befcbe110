package api

import "github.com/go-json-experiment/json/jsontext"

// A message is the payload of an event. For a JSON string it is the string's text,
// otherwise the value's source text without white space. A missing message has a nil text.
type message struct {
	text   []byte
	quoted bool // it is a string
}

// UnmarshalJSONFrom makes a copy that is hardly larger than the message, because it is
// retained and accounted by its length.
func (m *message) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	var text []byte
	quoted := value.Kind() == '"'
	if quoted {
		if text, err = jsontext.AppendUnquote(make([]byte, 0, len(value)), value); err != nil {
			return err
		}
	} else {
		compact := value.Clone() // the decoder reuses value
		if err := compact.Compact(); err != nil {
			return err
		}
		text = compact
	}
	if cap(text)-len(text) > 64 {
		text = append(make([]byte, 0, len(text)), text...)
	}
	*m = message{text, quoted}
	return nil
}
