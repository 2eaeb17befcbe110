package config

import (
	"cmp"
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// tags are the tags of a field, from kong or from reflect.
type tags interface{ Get(name string) string }

// read sets a field from text, if the field's tag "range" or "form" allows the value.
func read(text string, tag tags, target reflect.Value) bool {
	if !utf8.ValidString(text) {
		return false
	}
	text = strings.TrimSpace(text)
	switch field := target.Addr().Interface().(type) {
	case *int:
		return within(text, tag.Get("range"), field, strconv.Atoi)
	case *time.Duration:
		return within(text, tag.Get("range"), field, time.ParseDuration)
	case *float64:
		return within(text, tag.Get("range"), field, func(text string) (float64, error) { return strconv.ParseFloat(text, 64) })
	case *bool:
		*field = text == "true" || text == "1"
		return *field || text == "false" || text == "0"
	case *[32]byte:
		_, err := hex.Decode(field[:], []byte(text[:min(len(text), 64)]))
		return err == nil && formOf(tag).is(text)
	case *string:
		*field = text
		return formOf(tag).is(text)
	case *[]string:
		list := split(text)
		*field = append(*field, list...) // a repeated flag adds to its list
		return (len(list) > 0 || tag.Get("some") == "") &&
			!slices.ContainsFunc(list, func(item string) bool { return !formOf(tag).is(item) })
	}
	return false
}

func within[T cmp.Ordered](text, limits string, field *T, parse func(string) (T, error)) bool {
	lowText, highText, _ := strings.Cut(limits, "..")
	low, _ := parse(lowText)
	high, _ := parse(highText)
	value, err := parse(text)
	*field = value
	return err == nil && low <= value && value <= high
}

func split(list string) []string {
	items := kong.SplitEscaped(list, ',')
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}

// want describes the valid values of a field; standard is one of them.
func want(tag tags, field reflect.Type, standard string) string {
	var what string
	limits := strings.Replace(tag.Get("range"), "..", " to ", 1)
	switch field {
	case reflect.TypeFor[int]():
		what = "a whole number of " + limits
	case reflect.TypeFor[float64]():
		what = "a number of " + limits
	case reflect.TypeFor[time.Duration]():
		what = "a duration of " + limits
	case reflect.TypeFor[bool]():
		return "true or false"
	default:
		form := formOf(tag)
		if form.want != "" {
			return form.want
		}
		return "one of " + strings.ReplaceAll(tag.Get("form"), "|", ", ")
	}
	return what + ", such as " + standard
}

func wantOf(setting *kong.Value) string {
	return want(setting.Tag, setting.Target.Type(), setting.Default)
}

// form is a kind of text.
type form struct {
	want string
	is   func(string) bool
}

var forms = map[string]form{
	"address":         {"host:port or unix:PATH, such as 127.0.0.1:8000 or :0", isAddress},
	"admin-address":   {"host:port or unix:PATH, such as 127.0.0.1:8001", func(text string) bool { return text == "" || isAddress(text) }},
	"mode":            {"permissions as an octal number, such as 0660", isMode},
	"networks":        {"addresses, networks or unix, such as 10.0.0.0/8,192.0.2.7", isNetwork},
	"hosts":           {"host names, such as events.example.com", isHostName},
	"email":           {"an e-mail address", func(text string) bool { return text == "" || isPlain(text) && strings.Contains(text, "@") }},
	"source":          {"a URI reference, such as https://events.example.com or /belfry", isURI},
	"plain":           {"1 to 255 bytes without control characters", func(text string) bool { return isSome(text) && len(text) <= 255 }},
	"file":            {"the path of a file", isPlain},
	"files":           {"paths of files, such as a.pem,b.pem", isSome},
	"jwks":            {"an https URL (http for this machine only), such as https://id.example.com/jwks.json", isJWKS},
	"audiences":       {"names without control characters, such as belfry,chat", isSome},
	"issuer":          {"a name without control characters, such as https://id.example.com", isPlain},
	"user":            {"a user id of at most 255 bytes without control characters", func(text string) bool { return len(text) <= 255 && isPlain(text) }},
	"broker":          {"http://HOST:PORT, https://HOST:PORT or unix:PATH", isBroker},
	"cursor":          {"a cursor, as --cursor prints it", isPlain},
	"folder":          {"the path of a folder", isPlain},
	"id":              {"an id of at most 255 bytes without control characters", func(text string) bool { return len(text) <= 255 && isPlain(text) }},
	"topic":           {"a topic of 1 to 255 bytes of UTF-8 without control characters, such as cats", func(text string) bool { return text == "" || isTopic(text) }},
	"idempotency-key": {"1 to 255 printable ASCII characters, such as a UUID", isIdempotencyKey},
	"token":           {"a token, or -", func(string) bool { return true }},
	"name":            {"1 to 64 of the characters A-Z a-z 0-9 . _ -, such as backend", isName},
	"new-name":        {"1 to 64 of the characters A-Z a-z 0-9 . _ -, such as backend", func(text string) bool { return text == "" || isName(text) }},
	"sha256":          {"64 hexadecimal digits, as belfry key create shows them", isSum},
	"url":             {"an http, https, ws or wss URL without a query, such as https://events.example.com", isPublicURL},
	"origins":         {"auto, * or lower-case origins without a path, such as https://www.example.com,https://example.com", isOrigin},
	"topics":          {"topics of 1 to 255 bytes of UTF-8 without control characters, such as cats,dogs", isTopic},
}

// formOf returns a form by its name, or the choice between the words of its tag.
func formOf(tag tags) form {
	name := tag.Get("form")
	if named, ok := forms[name]; ok {
		return named
	}
	return form{is: func(text string) bool { return slices.Contains(strings.Split(name, "|"), text) }}
}

func isAddress(text string) bool {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return isSome(path) && len(path) <= maxSocketPath
	}
	host, port, err := net.SplitHostPort(text)
	number, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && strconv.FormatUint(number, 10) == port && !strings.ContainsAny(host, " /")
}

// maxSocketPath is the longest path of a unix socket that every system accepts, in bytes.
const maxSocketPath = 100

func isMode(text string) bool {
	mode, err := strconv.ParseUint(text, 8, 32)
	return err == nil && mode <= 0o777
}

func isNetwork(text string) bool {
	_, badPrefix := netip.ParsePrefix(text)
	_, badAddress := netip.ParseAddr(text)
	return text == "unix" || badPrefix == nil || badAddress == nil
}

func isHostName(text string) bool {
	return strings.Contains(text, ".") && len(text) <= 253 && strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

func isPublicURL(text string) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) &&
		u.Hostname() != "" && u.User == nil && !strings.ContainsAny(text, "?#")
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return text == "*" || text == "auto" || err == nil && u.Hostname() != "" && !strings.Contains(text, "*") && text == strings.ToLower(u.Scheme+"://"+u.Host)
}

func isTopic(text string) bool {
	return text != "" && len(text) <= 255 && utf8.ValidString(text) && !strings.ContainsFunc(text, isControl)
}

// isControl matches what the broker refuses in names (hub.HasControl), which this package
// cannot import.
func isControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

func isPlain(text string) bool { return !strings.ContainsFunc(text, isControl) }

func isSome(text string) bool { return text != "" && isPlain(text) }

func isJWKS(text string) bool {
	u, err := url.Parse(text)
	if text == "" || err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(text, "#") {
		return text == ""
	}
	local := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}

func isName(text string) bool {
	return 0 < len(text) && len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	})
}

func isSum(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == 32
}

func isIdempotencyKey(text string) bool {
	return len(text) <= 255 && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

func isURI(text string) bool {
	_, err := url.Parse(text)
	return err == nil && isSome(text) && len(text) <= 255
}
