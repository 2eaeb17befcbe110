package auth

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// claims are the claims that are checked (RFC 7519 section 4.1). Each is parsed by its own
// check, so that an error carries the claim's name.
type claims struct {
	Exp    jsontext.Value `json:"exp"`
	Nbf    jsontext.Value `json:"nbf"`
	Iat    jsontext.Value `json:"iat"`
	Aud    jsontext.Value `json:"aud"`
	Iss    jsontext.Value `json:"iss"`
	Sub    jsontext.Value `json:"sub"`
	Belfry jsontext.Value `json:"belfry"`
}

// rights is the claim belfry: patterns of topics by right.
type rights struct {
	Subscribe []string `json:"subscribe"`
	Publish   []string `json:"publish"`
}

// tooLate says that a token has expired.
type tooLate string

func (t tooLate) Error() string { return string(t) }

var errMissing = errors.New("missing")

// maxDate is the last second of the year 9999, the latest that RFC 3339 can write.
const maxDate = 253402300799

// dateOf reads a NumericDate (RFC 7519 section 2). It fails with errMissing if there is
// none.
func dateOf(value jsontext.Value) (time.Time, error) {
	switch value.Kind() {
	case jsontext.KindInvalid, 'n':
		return time.Time{}, errMissing
	case '0':
		seconds, err := strconv.ParseFloat(string(value), 64)
		if err == nil && 0 <= seconds && seconds <= maxDate {
			return time.UnixMilli(int64(seconds * 1000)).UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.100s; want seconds since 1970 as a number", value)
}

// shown formats a time and its distance from now.
func (e *verifier) shown(at time.Time) string {
	if ago := e.now.Sub(at).Round(time.Second); ago >= 0 {
		return fmt.Sprintf("%s, %v ago", at.Format(time.RFC3339), ago)
	}
	return fmt.Sprintf("%s, in %v", at.Format(time.RFC3339), at.Sub(e.now).Round(time.Second))
}

func (e *verifier) sayWhen(at time.Time) {
	if e.explain {
		e.found = e.shown(at)
	}
}

func (e *verifier) exp() error {
	at, err := dateOf(e.claims.Exp)
	switch leeway := e.tokens.opts.Leeway; {
	case err == errMissing:
		return errors.New("missing; want the time when the token expires, in seconds since 1970")
	case err != nil:
		return err
	case !e.now.Before(at.Add(leeway)):
		return tooLate(fmt.Sprintf("%s; want a time in the future (clocks may differ by %v)", e.shown(at), leeway))
	default:
		e.end = at.Add(leeway)
		e.sayWhen(at)
		return nil
	}
}

func (e *verifier) nbf() error {
	at, err := dateOf(e.claims.Nbf)
	switch leeway := e.tokens.opts.Leeway; {
	case err == errMissing:
		e.say("none")
		return nil
	case err != nil:
		return err
	case e.now.Before(at.Add(-leeway)):
		return fmt.Errorf("%s; want a time in the past (clocks may differ by %v)", e.shown(at), leeway)
	default:
		e.sayWhen(at)
		return nil
	}
}

func (e *verifier) iat() error {
	at, err := dateOf(e.claims.Iat)
	opts := &e.tokens.opts
	switch end := at.Add(opts.MaxAge + opts.Leeway); {
	case err == errMissing && opts.MaxAge == 0:
		e.say("none; tokens of any age are accepted")
		return nil
	case err == errMissing:
		return fmt.Errorf("missing; want the time when the token was issued, at most %v ago", opts.MaxAge)
	case err != nil:
		return err
	case e.now.Before(at.Add(-opts.Leeway)):
		return fmt.Errorf("%s; want a time in the past (clocks may differ by %v)", e.shown(at), opts.Leeway)
	case opts.MaxAge > 0 && e.now.After(end):
		return tooLate(fmt.Sprintf("%s; want at most %v (clocks may differ by %v)", e.shown(at), opts.MaxAge, opts.Leeway))
	case opts.MaxAge > 0 && end.Before(e.end):
		e.end = end
	}
	e.sayWhen(at)
	return nil
}

func (e *verifier) aud() error {
	wanted := e.tokens.opts.Audience
	if len(wanted) == 0 {
		e.say("not checked")
		return nil
	}
	var has []string
	switch e.claims.Aud.Kind() {
	case '[':
		var err error
		if has, err = textsOf(e.claims.Aud); err != nil {
			return err
		}
	default:
		name, err := textOf(e.claims.Aud)
		if err != nil {
			return err
		}
		if name != "" {
			has = []string{name}
		}
	}
	for _, name := range has {
		if slices.Contains(wanted, name) {
			e.say("%.100q", name)
			return nil
		}
	}
	return fmt.Errorf("%.200q; want one of %.200q", has, wanted)
}

// textsOf reads a list of strings. Null is an empty list.
func textsOf(list jsontext.Value) (texts []string, err error) {
	var values []jsontext.Value
	err = json.Unmarshal(list, &values)
	for _, value := range values {
		text, bad := textOf(value)
		if bad != nil || value.Kind() != '"' {
			return nil, fmt.Errorf("%.100s; want a string or a list of strings", list)
		}
		texts = append(texts, text)
	}
	return texts, err
}

func (e *verifier) iss() error {
	wanted := e.tokens.opts.Issuer
	if wanted == "" {
		e.say("not checked")
		return nil
	}
	has, err := textOf(e.claims.Iss)
	switch {
	case err != nil:
		return err
	case has == "":
		return fmt.Errorf("missing; want %.100q", wanted)
	case has != wanted:
		return fmt.Errorf("%.100q; want %.100q", has, wanted)
	}
	e.say("%.100q", has)
	return nil
}

func (e *verifier) sub() error {
	user, err := textOf(e.claims.Sub)
	switch {
	case err != nil:
		return err
	case len(user) > hub.MaxNameBytes:
		return fmt.Errorf("%d bytes; want at most %d", len(user), hub.MaxNameBytes)
	case hub.HasControl(user):
		return fmt.Errorf("%.100q; want a user without control characters", user)
	}
	e.user = user
	e.say("%.100q", user)
	return nil
}

func (e *verifier) belfry() error {
	switch e.claims.Belfry.Kind() {
	case jsontext.KindInvalid, 'n':
		return errors.New(`missing; want an object such as {"subscribe":["orders.*"],"publish":[]}`)
	}
	if err := json.Unmarshal(e.claims.Belfry, &e.rights, json.RejectUnknownMembers(true)); err != nil {
		e.rights = rights{}
		return fmt.Errorf("%.100s; want an object with subscribe and publish, lists of strings", e.claims.Belfry)
	}
	return nil
}

func (e *verifier) subscribe() error { return e.patterns(e.rights.Subscribe) }

func (e *verifier) publish() error { return e.patterns(e.rights.Publish) }

func (e *verifier) patterns(all []string) error {
	if most := e.tokens.opts.MaxTopics; len(all) > most {
		return fmt.Errorf("%d patterns; want at most %d (max_subscriptions)", len(all), most)
	}
	var wrong []error
	for _, p := range all {
		if err := hub.CheckPattern(p); err != nil {
			wrong = append(wrong, err)
		}
	}
	e.say("%q", all)
	return errors.Join(wrong...)
}
