package api

import "github.com/go-json-experiment/json/jsontext"

// A message is what an event carries: of a JSON string its text, of any other
// value its source text without white space. Left out its text is nil.
type message struct {
	text   []byte
	quoted bool // it was a string
}

// UnmarshalJSONFrom makes a copy that is hardly larger than the message: it will
// be retained, and is accounted by its length.
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
		compact := value.Clone() // the decoder reads on from value
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
