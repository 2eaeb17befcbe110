package harness

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// A TLSPeer is a client's end of TLS 1.3 (RFC 8446) that does to its records what
// the test likes. The handshake is the standard library's; its keys are taken
// over.
type TLSPeer struct {
	net.Conn // the socket
	out, in  trafficKeys
	plain    bytes.Buffer // application data that has come
	Updates  int          // key updates that have come
}

// A TlsAlert is one that ended a connection (section 6).
type TlsAlert byte

func (a TlsAlert) Error() string { return fmt.Sprintf("alert %d", byte(a)) }

const (
	AlertCloseNotify TlsAlert = 0
	alertBadMAC      TlsAlert = 20
)

// TLSPeer connects to the broker.
func (b *Broker) TLSPeer(t *testing.T, d net.Dialer) *TLSPeer {
	t.Helper()
	conn, err := d.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var secrets bytes.Buffer
	cfg := b.TLS.Clone()
	cfg.KeyLogWriter, cfg.MinVersion = &secrets, tls.VersionTLS13
	client := tls.Client(&recordConn{Conn: conn}, cfg)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if suite := client.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("the cipher suite is %s: there is no AES in hardware", tls.CipherSuiteName(suite))
	}
	p := &TLSPeer{Conn: conn}
	for line := range strings.Lines(secrets.String()) {
		fields := strings.Fields(line)
		secret, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		switch fields[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			p.out.use(secret)
		case "SERVER_TRAFFIC_SECRET_0":
			p.in.use(secret)
		}
	}
	return p
}

// A recordConn gives one record to each read, so that the handshake's reader reads nothing
// after the handshake.
type recordConn struct {
	net.Conn
	rest []byte
}

func (c *recordConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		header, body, err := readRecord(c.Conn)
		if err != nil {
			return 0, err
		}
		c.rest = append(header, body...)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func readRecord(from io.Reader) (header, body []byte, err error) {
	header = make([]byte, 5)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint16(header[3:]))
	_, err = io.ReadFull(from, body)
	return header, body, err
}

// TrafficKeys protect one direction (section 7.3).
type trafficKeys struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func (k *trafficKeys) use(secret []byte) {
	block, err := aes.NewCipher(expandLabel(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	*k = trafficKeys{secret: secret, aead: aead, iv: expandLabel(secret, "iv", 12)}
}

// update goes on to the next keys (section 7.2).
func (k *trafficKeys) update() { k.use(expandLabel(k.secret, "traffic upd", 32)) }

func expandLabel(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := string([]byte{0, byte(size), byte(len(label))}) + label + "\x00"
	key, err := hkdf.Expand(sha256.New, secret, info, size)
	if err != nil {
		panic(err)
	}
	return key
}

func (k *trafficKeys) nonce() []byte {
	nonce := bytes.Clone(k.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(k.seq >> (56 - 8*i))
	}
	k.seq++
	return nonce
}

const (
	RecordAlert       = 21
	recordHandshake   = 22
	RecordApplication = 23
)

// Record returns a record of that type (section 5.2).
func (p *TLSPeer) Record(kind byte, content []byte) []byte {
	inner := append(bytes.Clone(content), kind)
	header := binary.BigEndian.AppendUint16([]byte{RecordApplication, 3, 3}, uint16(len(inner)+p.out.aead.Overhead()))
	return append(header, p.out.aead.Seal(nil, p.out.nonce(), inner, header)...)
}

// Write sends application data, in records of at most 16 KiB.
func (p *TLSPeer) Write(data []byte) (n int, err error) {
	for n < len(data) {
		some := data[n:min(len(data), n+16<<10)]
		if _, err := p.Conn.Write(p.Record(RecordApplication, some)); err != nil {
			return n, err
		}
		n += len(some)
	}
	return n, nil
}

// KeyUpdate returns a KeyUpdate that asks for one (section 4.6.3).
func (p *TLSPeer) KeyUpdate() []byte {
	record := p.Record(recordHandshake, []byte{24, 0, 0, 1, 1})
	p.out.update()
	return record
}

// Read reads application data.
func (p *TLSPeer) Read(to []byte) (int, error) {
	for p.plain.Len() == 0 {
		header, body, err := readRecord(p.Conn)
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // there was no close_notify
			}
			return 0, err
		}
		inner, err := p.in.aead.Open(nil, p.in.nonce(), body, header)
		if err != nil {
			return 0, err
		}
		content, kind := inner[:len(inner)-1], inner[len(inner)-1]
		switch {
		case kind == RecordApplication:
			p.plain.Write(content)
		case kind == RecordAlert && TlsAlert(content[1]) == AlertCloseNotify:
			return 0, io.EOF
		case kind == RecordAlert:
			return 0, TlsAlert(content[1])
		case content[0] == 24:
			p.Updates++
			p.in.update()
		}
	}
	return p.plain.Read(to)
}
