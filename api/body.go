package api

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strings"
)

// body reads the request's body, which is JSON or empty. The result is valid as long as
// the exchange.
func (x *exchange) body() ([]byte, error) {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return nil, nil
	}
	if err := checkContent(x.r.Header); err != nil {
		return nil, err
	}
	return x.readBody()
}

// readBody reads the request's body in any format.
func (x *exchange) readBody() ([]byte, error) {
	limit := x.limits.MaxBody
	if x.r.Body == nil {
		return nil, nil
	}
	tooLarge := func() error {
		return payloadTooLarge.because(fmt.Sprintf("the body has more than %d bytes; send less, or raise max_body", limit))
	}
	if x.r.ContentLength > int64(limit) {
		return nil, tooLarge()
	}
	x.limited.R, x.limited.N = x.r.Body, int64(limit)+1
	if _, err := x.in.ReadFrom(&x.limited); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, requestTimeout.because("the body took too long to arrive; send it faster, or raise body_timeout")
		}
		return nil, malformedRequest.because("the body did not arrive completely; send it again")
	}
	if x.in.Len() > limit {
		return nil, tooLarge()
	}
	return x.in.Bytes(), nil
}

// checkContent refuses a body whose Content-Type is not JSON. It accepts the type that
// curl -d sends by default, so that a first try needs no header, and a body without a
// type.
func checkContent(header http.Header) error {
	if err := checkCoding(header); err != nil {
		return err
	}
	switch given := header.Get("Content-Type"); given {
	case "", "application/json", "application/x-www-form-urlencoded":
		return nil
	default:
		media, params, err := mime.ParseMediaType(given)
		if err == nil && (media == "application/json" || media == "application/x-www-form-urlencoded") {
			return checkCharset(params)
		}
		return unsupportedMedia.because("send JSON as Content-Type: application/json, in UTF-8").with("Accept", acceptableTypes)
	}
}

// checkCharset refuses media types with another charset than UTF-8 or ASCII, its subset.
// JSON has no such parameter (RFC 8259 section 11), but many clients send it.
func checkCharset(params map[string]string) error {
	switch charset := params["charset"]; strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return nil
	default:
		return unsupportedMedia.because(fmt.Sprintf("the charset of the body is %.40q; send UTF-8", charset)).with("Accept", acceptableTypes)
	}
}

func checkCoding(header http.Header) error {
	if coding := header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unsupportedMedia.because("send the body without Content-Encoding").with("Accept-Encoding", identityCoding)
	}
	return nil
}
