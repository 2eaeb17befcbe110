// Package config reads the broker's settings. Flags override BELFRY_* variables, which
// override a file, which overrides the defaults.
package config

import (
	"crypto"
	"time"
)

// Config has every setting of the broker. The tags of a field are the setting's help text,
// its default, and what Parse accepts ("range" for numbers and durations, "form" for text,
// see value.go). A setting with the tag "reload" can change while the broker runs. A new
// one of them must be applied in cli/serve.
//
// A field's name determines the setting's name: MaxBody is the flag --max-body, the
// variable BELFRY_MAX_BODY and max_body in the file. An embedded struct is a group in the
// file.
type Config struct {
	File string `name:"config" group:"Configuration" default:"" placeholder:"FILE" form:"file" help:"YAML file with settings. Variables and flags override it."`

	Addr           string   `group:"Listening" default:"127.0.0.1:8000" form:"address" help:"Where to listen: host:port or unix:PATH. Port 0 is a free one."`
	AdminAddr      string   `group:"Listening" default:"" placeholder:"ADDR" form:"admin-address" help:"Address of metrics, pprof, console and admin calls, if not addr."`
	SocketMode     string   `group:"Listening" default:"0660" form:"mode" help:"Permissions of a unix socket: who may connect to it."`
	PublicURL      string   `group:"Listening" default:"" placeholder:"URL" form:"url" help:"Base of the URLs that the broker gives out, as browsers reach it."`
	AllowedOrigins []string `group:"Listening" default:"auto" form:"origins" reload:"yes" help:"Origins of pages to admit. auto: all with keys, else local ones."`
	Protocols      string   `group:"Listening" default:"http1" form:"http1|http1+http2" help:"http1, or http1+http2 for proxies that speak HTTP/2 without TLS."`
	TrustedProxies []string `group:"Listening" default:"" placeholder:"NETWORKS" form:"networks" reload:"yes" help:"Networks of proxies that may name the client; or unix."`
	ProxyHeader    string   `group:"Listening" default:"x-forwarded-for" form:"x-forwarded-for|forwarded" reload:"yes" help:"Header that names the client: x-forwarded-for or forwarded."`

	TLS TLS `group:"TLS" embed:"" prefix:"tls-"`

	DefaultTopics    []string      `group:"Clients" default:"cats" form:"topics" reload:"yes" help:"Topics of a registration that names no topics."`
	ResumeWindow     time.Duration `group:"Clients" default:"30s" range:"0s..24h" help:"How long a client may be away and resume. 0s: not at all."`
	RegisterTTL      time.Duration `group:"Clients" default:"10m" range:"1s..24h" help:"How long a registration waits for its first connection."`
	ClientQueueBytes int           `group:"Clients" default:"1048576" range:"1..1073741824" reload:"yes" help:"Bytes that may wait for a client before it counts as slow."`
	SlowPolicy       string        `group:"Clients" default:"close" form:"close|drop_oldest|latest" help:"What to do about a slow client: close, drop_oldest or latest."`

	CloudEvents CloudEvents `group:"CloudEvents" embed:"" prefix:"cloudevents-"`

	Insecure bool `group:"Access" default:"false" help:"Serve other machines without keys."`
	JWT      JWT  `group:"Access" embed:"" prefix:"jwt-"`

	History History `group:"Retention" embed:"" prefix:"history-"`

	Data Data `group:"Retention" embed:"" prefix:"data-"`

	DedupeWindow time.Duration `group:"Retention" default:"2m" range:"1s..24h" help:"How long to remember an idempotency key."`
	DedupeBytes  int           `group:"Retention" default:"16777216" range:"1024..68719476736" help:"Most bytes for idempotency keys, with overhead."`

	MaxMemory             int `group:"Limits" default:"0" range:"0..1099511627776" reload:"yes" help:"Bytes of memory above which nothing new begins. 0: 3/4 of all."`
	MemoryReserve         int `group:"Limits" default:"0" range:"0..1099511627776" reload:"yes" help:"Bytes above max_memory for publishes with a key. 0: a tenth of it."`
	MaxClients            int `group:"Limits" default:"200000" range:"1..10000000" reload:"yes" help:"Most clients, connected or not."`
	MaxUserClients        int `group:"Limits" default:"1000" range:"0..10000000" reload:"yes" help:"Most clients of one user. 0: no limit."`
	MaxConnections        int `group:"Limits" default:"100000" range:"1..10000000" reload:"yes" help:"Most open connections of clients."`
	MaxAddressConnections int `group:"Limits" default:"1000" range:"0..10000000" reload:"yes" help:"Most connections from one address. 0: no limit."`
	MaxHTTPConnections    int `name:"max-http-connections" group:"Limits" default:"20000" range:"1..10000000" reload:"yes" help:"Most HTTP connections that are not (yet) a client's."`
	MaxHandshakes         int `group:"Limits" default:"20000" range:"0..10000000" reload:"yes" help:"Most new connections of clients in a second. 0: no limit."`
	MaxAddressHandshakes  int `group:"Limits" default:"100" range:"0..10000000" reload:"yes" help:"Most of those from one address. 0: no limit."`
	MaxPublishRate        int `group:"Limits" default:"0" range:"0..1000000" reload:"yes" help:"Most events a second of an API key without a rate. 0: no limit."`
	MaxUserPublishRate    int `group:"Limits" default:"50" range:"0..1000000" reload:"yes" help:"Most events a second of a user's tokens. 0: no limit."`
	MaxSubscriptions      int `group:"Limits" default:"128" range:"1..65536" reload:"yes" help:"Most subscriptions of one client."`
	MaxMessage            int `group:"Limits" default:"65536" range:"1..16777216" reload:"yes" help:"Largest message, in bytes."`
	MaxBody               int `group:"Limits" default:"1048576" range:"1..1073741824" reload:"yes" help:"Largest request body, in bytes."`
	MaxDepth              int `group:"Limits" default:"64" range:"1..10000" reload:"yes" help:"Deepest nesting of JSON, in levels."`
	MaxFragments          int `group:"Limits" default:"1024" range:"1..1048576" reload:"yes" help:"Most frames of one WebSocket message."`
	MaxControlRate        int `group:"Limits" default:"50" range:"1..100000" reload:"yes" help:"Most WebSocket control frames of a connection in a second."`
	MaxHeaderBytes        int `group:"Limits" default:"16384" range:"1024..1048576" help:"Largest request header, in bytes."`

	PingInterval   time.Duration `group:"Timeouts" default:"25s" range:"10ms..1h" help:"Time between two pings of a connection."`
	PongTimeout    time.Duration `group:"Timeouts" default:"8s" range:"10ms..1h" help:"How long a connection may take to answer a ping."`
	CloseTimeout   time.Duration `group:"Timeouts" default:"2s" range:"10ms..1m" help:"How long a peer may take to answer a close."`
	Heartbeat      time.Duration `group:"Timeouts" default:"15s" range:"10ms..1h" help:"Longest silence on a connection of belfry.v1 or SSE."`
	ReconnectDelay time.Duration `group:"Timeouts" default:"1s" range:"10ms..1h" help:"Least time that clients are told to wait before they reconnect."`
	MaxWait        time.Duration `group:"Timeouts" default:"60s" range:"0s..1h" help:"How long a request for history may wait for an event."`
	PublishTimeout time.Duration `group:"Timeouts" default:"5s" range:"10ms..1m" help:"How long a publish may wait for room before it is answered 503."`
	HeaderTimeout  time.Duration `group:"Timeouts" default:"5s" range:"10ms..1h" help:"How long a request header may take to arrive."`
	BodyTimeout    time.Duration `group:"Timeouts" default:"10s" range:"10ms..1h" help:"How long a body or a WebSocket message may take to arrive."`
	WriteTimeout   time.Duration `group:"Timeouts" default:"10s" range:"10ms..1h" help:"How long a response may take to be written."`
	IdleTimeout    time.Duration `group:"Timeouts" default:"120s" range:"10ms..24h" help:"How long to keep an HTTP connection for its next request."`
	Drain          time.Duration `group:"Timeouts" default:"10s" range:"0s..1h" help:"How long a shutdown waits for requests under way."`

	Couriers            int `group:"Internals" default:"0" range:"0..1024" help:"Goroutines that write to connections. 0: one less than CPUs."`
	CourierBacklog      int `group:"Internals" default:"262144" range:"1..16777216" help:"Deliveries that wait for a courier before publishes wait, too."`
	CourierBacklogBytes int `group:"Internals" default:"16777216" range:"1..1073741824" help:"Bytes that wait for a courier before publishes wait, too."`
	HubQueue            int `group:"Internals" default:"1024" range:"1..1048576" help:"Most commands that wait for the hub."`

	LogLevel  string `group:"Logging" default:"info" form:"debug|info|warn|error" reload:"yes" help:"Lowest level to log: debug, info, warn or error."`
	LogFormat string `group:"Logging" default:"auto" form:"auto|json|console" help:"json, console, or auto: console on a terminal, else json."`

	LogQueueBytes int `group:"Logging" default:"1048576" range:"1024..1073741824" help:"Bytes of the log that may wait to be written. More is dropped."`

	// Keys are the API keys, which come only from the file.
	Keys []Key `kong:"-"`

	// Warnings are problems that are only logged.
	Warnings []string `kong:"-"`

	// Unknown has the BELFRY_* variables that are not settings. They are only logged:
	// Kubernetes sets BELFRY_PORT and the like for a service of that name.
	Unknown []string `kong:"-"`
}

// History bounds what the log retains.
type History struct {
	Events int           `default:"100" range:"1..1000000" help:"Most events to retain of each topic and user."`
	Age    time.Duration `default:"10m" range:"1s..168h" help:"How long to retain an event."`
	Bytes  int           `default:"67108864" range:"65536..68719476736" help:"Most bytes to retain in all, with overhead."`
}

// Data says where the log is kept on the disk, and how much of it.
type Data struct {
	Dir   string        `aliases:"data" default:"" placeholder:"DIR" form:"folder" help:"Folder to keep the log in. Empty: in memory only."`
	Bytes int           `default:"1073741824" range:"0..1099511627776" help:"Most bytes of the log on the disk. 0: no limit."`
	Age   time.Duration `default:"0s" range:"0s..87600h" help:"How long to keep an event on the disk. 0s: no limit."`
}

// TLS has the broker's certificate.
type TLS struct {
	CertFile  string   `default:"" placeholder:"FILE" form:"file" help:"PEM file with the certificate and its chain."`
	KeyFile   string   `default:"" placeholder:"FILE" form:"file" help:"PEM file with the private key of the certificate."`
	ACMEHosts []string `name:"acme-hosts" default:"" placeholder:"HOSTS" form:"hosts" help:"Hosts to get certificates for by ACME. Port 443 must lead here."`
	ACMEDir   string   `name:"acme-dir" default:"" placeholder:"DIR" form:"folder" help:"Folder to keep certificates from ACME in."`
	ACMEEmail string   `name:"acme-email" default:"" placeholder:"ADDRESS" form:"email" help:"Address at which the ACME issuer may contact you."`
	ACMEURL   string   `name:"acme-url" default:"" placeholder:"URL" form:"jwks" help:"Directory of the ACME issuer. Empty: Let's Encrypt."`
}

// Enabled reports whether the broker uses TLS.
func (t TLS) Enabled() bool { return t.CertFile != "" || len(t.ACMEHosts) > 0 }

// CloudEvents are the attributes of events that were published without them.
type CloudEvents struct {
	Source string `default:"/belfry" form:"source" help:"Source of events that were published without one: a URI reference."`
	Type   string `default:"belfry.event" form:"plain" help:"Type of events that were published without one."`
}

// JWT configures the accepted tokens (JSON Web Tokens).
type JWT struct {
	SecretFile string        `default:"" placeholder:"FILE" form:"file" reload:"yes" help:"File with the secret of HS256 tokens, of at least 32 bytes."`
	PublicKeys []string      `default:"" placeholder:"FILES" form:"files" reload:"yes" help:"PEM files with public keys of RS256, ES256 and EdDSA tokens."`
	JWKSURL    string        `name:"jwks-url" default:"" placeholder:"URL" form:"jwks" reload:"yes" help:"Where the issuer of tokens publishes its keys (a JWK set)."`
	Audience   []string      `default:"" placeholder:"NAMES" form:"audiences" reload:"yes" help:"Names of which a token's aud must have one. Empty: not checked."`
	Issuer     string        `default:"" placeholder:"NAME" form:"issuer" reload:"yes" help:"What a token's iss must be. Empty: not checked."`
	Leeway     time.Duration `default:"30s" range:"0s..10m" reload:"yes" help:"How far clocks may differ when exp, nbf and iat are checked."`
	MaxAge     time.Duration `default:"0s" range:"0s..8760h" reload:"yes" help:"Largest age of a token by its iat. 0s: not checked."`

	Secret Secret             `kong:"-"` // content of SecretFile
	Keys   []crypto.PublicKey `kong:"-"` // content of PublicKeys: *rsa.PublicKey, *ecdsa.PublicKey (P-256), ed25519.PublicKey
}

// Key is an API key. The file has only its hash, so that a reader of the file cannot use
// the key.
type Key struct {
	Name   string   `required:"yes" form:"name" help:"Name of the key in logs and metrics. It must be unique."`
	SHA256 [32]byte `required:"yes" form:"sha256" secret:"yes" help:"SHA-256 of the key's text."`
	Rights []string `required:"yes" some:"yes" form:"publish|register|subscribe|admin" help:"What the key may do."`
	Topics []string `default:">" some:"yes" form:"topics" help:"Topics and patterns for which it may do so."`
	Rate   float64  `default:"0" range:"0..1000000" help:"Most events a second. 0: max_publish_rate."`
}
