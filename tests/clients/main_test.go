package clients_test

import (
	"testing"

	"belfry/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestOverTLS: what holds over plain sockets holds over TLS.
func TestOverTLS(t *testing.T) {
	harness.OverTLS(t, map[string]func(*testing.T){
		"NpmWS": TestNpmWS, "PythonWebsockets": TestPythonWebsockets, "Chromium": TestChromium, "Curl": TestCurl,
		"NpmEventSource": TestNpmEventSource, "ChromiumEventSource": TestChromiumEventSource, "CurlEventStream": TestCurlEventStream,
		"NpmWSv1": TestNpmWSv1, "ChromiumV1": TestChromiumV1, "PythonWebsocketsV1": TestPythonWebsocketsV1,
	})
}
