package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"belfry/client"
)

// A Broker describes a broker's address and the credentials for it.
type Broker struct {
	URL      string         // http://, https:// or unix:PATH
	Key      string         // "": none
	Roots    *x509.CertPool // nil: the system's
	Insecure bool           // trust any certificate
}

// localhost is the host name of a broker at a unix socket.
const localhost = "http://localhost"

// Base returns the URL that the paths of calls are appended to.
func (b Broker) Base() string {
	if _, ok := b.socket(); ok {
		return localhost
	}
	return strings.TrimRight(b.URL, "/")
}

func (b Broker) socket() (path string, ok bool) { return strings.CutPrefix(b.URL, "unix:") }

// Header returns the header of each call.
func (b Broker) Header() http.Header {
	if b.Key == "" {
		return http.Header{}
	}
	return http.Header{"Authorization": {"Bearer " + b.Key}}
}

// HTTP returns a client for calls, with at most so many idle connections. Close them when
// the client is no longer needed.
func (b Broker) HTTP(idle int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = b.tls()
	transport.MaxIdleConnsPerHost = idle
	if path, ok := b.socket(); ok {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a key must not go to another broker
	}
}

func (b Broker) tls() *tls.Config {
	return &tls.Config{RootCAs: b.Roots, InsecureSkipVerify: b.Insecure}
}

// Dial makes a connection for HTTP/1.1 and returns the Host to ask for.
func (b Broker) Dial(ctx context.Context) (conn net.Conn, host string, err error) {
	dialer := &net.Dialer{Timeout: timeout}
	if path, ok := b.socket(); ok {
		conn, err = dialer.DialContext(ctx, "unix", path)
		return conn, "localhost", err
	}
	u, err := url.Parse(b.URL)
	if err != nil {
		return nil, "", err
	}
	if u.Scheme == "https" {
		secure := &tls.Dialer{NetDialer: dialer, Config: b.tls()}
		conn, err = secure.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")))
		return conn, u.Host, err
	}
	conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")))
	return conn, u.Host, err
}

// timeout bounds a call for figures or health.
const timeout = 5 * time.Second

// maxAnswer bounds the response of such a call, in bytes.
const maxAnswer = 4 << 20

// get makes a call and returns its response.
func (b Broker) get(ctx context.Context, c *http.Client, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Base()+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header = b.Header()
	res, err := c.Do(req)
	if err != nil {
		return nil, unreachable(b, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, unreachable(b, err)
	case res.StatusCode != http.StatusOK:
		return nil, Refusal(res, text)
	}
	return text, nil
}

// Refusal reads the problem document of a response.
func Refusal(res *http.Response, text []byte) error {
	p := client.ReadProblem(res, text)
	if p.Code == "" {
		return p
	}
	return fmt.Errorf("the broker refuses: %w", p)
}

// unreachable returns an error of a call without a second copy of the URL.
func unreachable(b Broker, err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		err = about.Err
	}
	return fmt.Errorf("cannot reach the broker at %s: %w", b.URL, err)
}

// printJSON prints a value in one line. Messages stay as they were written.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
