package main

import (
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"belfry/config"
)

// A logger is one whose level can change.
type logger struct {
	*zap.Logger
	level zap.AtomicLevel
}

// set changes the level.
func (l logger) set(name string) {
	if level, err := zapcore.ParseLevel(name); err == nil { // config has checked it
		l.level.SetLevel(level)
	}
}

// newLogger returns a logger of lines of JSON, or of text for a terminal.
func newLogger(cfg config.Config, out io.Writer) logger {
	level := zap.NewAtomicLevel()
	format := cfg.LogFormat
	if format == "auto" {
		format = "json"
		if isTerminal(out) {
			format = "console"
		}
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if format == "console" {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeLevel = zapcore.CapitalColorLevelEncoder
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	l := logger{zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level)), level}
	l.set(cfg.LogLevel)
	return l
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// sampled returns a logger that writes ten lines of a message in a second and then
// few: a client may bring them about as often as it likes.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 10, 1000)
	}))
}
