package auth

import (
	"crypto/sha256"
	"net/http/httptest"
	"testing"
)

// Each way to send credentials, with what it makes of a request: by the last word,
// a credential that is good, one that is bad, or none.
var ways = []struct{ name, header, value, query, is string }{
	{"Bearer, good", "Authorization", "Bearer good", "", "good"},
	{"in lower case", "Authorization", "bearer good", "", "good"},
	{"in upper case", "Authorization", "BEARER good", "", "good"},
	{"more spaces", "Authorization", "Bearer   good ", "", "good"},
	{"a tab", "Authorization", "Bearer\tgood", "", "good"},
	{"tabs and spaces", "Authorization", "Bearer \t good\t", "", "good"},
	{"Bearer, bad", "Authorization", "Bearer bad", "", "bad"},
	{"two in one line", "Authorization", "Bearer good, Bearer good", "", "bad"},
	{"Bearer, empty", "Authorization", "Bearer ", "", "none"},
	{"Bearer alone", "Authorization", "Bearer", "", "none"},
	{"nothing in it", "Authorization", "", "", "none"},
	{"spaces in it", "Authorization", " \t", "", "none"},
	{"Basic", "Authorization", "Basic dXNlcjpwYXNz", "", "other"},
	{"Basic of a key", "Authorization", "Basic good", "", "other"},
	{"Negotiate", "Authorization", "Negotiate YII=", "", "other"},
	{"without a scheme", "Authorization", "good", "", "other"},
	{"Bearer-like", "Authorization", "Bearers good", "", "other"},
	{"a subprotocol, good", "Sec-Websocket-Protocol", "belfry.v1, bearer.good", "", "good"},
	{"a subprotocol, first", "Sec-Websocket-Protocol", "bearer.good,belfry.v1", "", "good"},
	{"a subprotocol, bad", "Sec-Websocket-Protocol", "belfry.v1, bearer.bad", "", "bad"},
	{"a subprotocol, empty", "Sec-Websocket-Protocol", "belfry.v1, bearer.", "", "none"},
	{"a subprotocol in upper case", "Sec-Websocket-Protocol", "Bearer.good", "", "none"}, // names of subprotocols count with their case
	{"another subprotocol", "Sec-Websocket-Protocol", "belfry.v1", "", "none"},
	{"a parameter, good", "", "", "access_token=good", "good"},
	{"a parameter, encoded", "", "", "access%5ftoken=%67ood", "good"},
	{"a parameter, bad", "", "", "access_token=bad", "bad"},
	{"a parameter, empty", "", "", "access_token=", "none"},
	{"a parameter of another name", "", "", "Access_token=good", "none"},
	{"nothing", "", "", "", "none"},
}

// verdict is the code of a request that has two credentials, "" if it is let in.
func verdict(one, two string) string {
	switch {
	case one == "bad" || two == "bad": // also beside a good one: which counts would be a guess
		return "credentials_invalid"
	case one == "good" || two == "good":
		return ""
	case one == "other" || two == "other":
		return "credentials_invalid"
	}
	return "credentials_missing"
}

// TestCredentialsInPairs: a proxy's credentials and empty ones are none of the
// broker's, wherever they are; those that disagree are refused.
func TestCredentialsInPairs(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Options{Keys: []Key{{Name: "k", SHA256: sha256.Sum256([]byte("good")), Rights: Publish, Topics: []string{">"}}}})
	for _, one := range ways {
		for _, two := range ways {
			r := httptest.NewRequest("GET", "/?"+one.query+"&topic=a&"+two.query, nil)
			for _, way := range []struct{ name, value string }{{one.header, one.value}, {two.header, two.value}} {
				if way.name != "" {
					r.Header[way.name] = append(r.Header[way.name], way.value)
				}
			}
			if _, err := g.Identify(r); code(t, err) != verdict(one.is, two.is) {
				t.Errorf("%s and %s: %v, want %q", one.name, two.name, err, verdict(one.is, two.is))
			}
		}
	}
}
