package api

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// A userID names a user. In JSON it is an integer or a string; both forms of the same text
// are the same user. If it is missing or null it is "".
type userID string

var (
	errNoUser     = invalidUserID.because("user_id is missing; send an integer such as 1, or a string of 1 to 255 bytes")
	errUserType   = invalidUserID.because("user_id is neither an integer nor a string; send an integer such as 1, or a string of 1 to 255 bytes")
	errUserText   = invalidUserID.because("user_id contains a control character; send an integer such as 1, or a string of 1 to 255 bytes without one")
	errUserLength = invalidUserID.because("user_id has 0 or more than 255 bytes; send an integer such as 1, or a string of 1 to 255 bytes")
)

// UnmarshalJSONFrom keeps the digits of an integer. Rounding could turn a long number into
// another user's.
func (u *userID) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case 'n':
		*u = ""
		return nil
	case '0':
		if bytes.ContainsAny(value, ".eE") {
			return errUserType
		}
		if string(value) == "-0" {
			value = value[1:]
		}
	case '"':
		if value, err = jsontext.AppendUnquote(make([]byte, 0, len(value)), value); err != nil {
			return err
		}
	default:
		return errUserType
	}
	*u = userID(value)
	return checkUser(string(value))
}

// checkUser checks a user's name.
func checkUser(name string) error {
	switch {
	case len(name) < 1 || len(name) > hub.MaxNameBytes:
		return errUserLength
	case !hub.IsName(name):
		return errUserText
	}
	return nil
}
