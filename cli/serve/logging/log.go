package logging

import (
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logOptions say how to log.
type Options struct {
	Level      string // of zap: debug, info, warn, error
	Format     string // json, console, or auto: console for a terminal
	QueueBytes int    // bound of the lines that wait for the writer
}

// A Logger is one whose level can change.
type Logger struct {
	*zap.Logger
	level zap.AtomicLevel
	Queue *logQueue
}

// Set changes the level.
func (l Logger) Set(name string) {
	if level, err := zapcore.ParseLevel(name); err == nil { // config has checked it
		l.level.SetLevel(level)
	}
}

// newLogger returns a logger of lines of JSON, or of text for a terminal. Its close is to
// be called at the end: what is logged is written by a goroutine.
func New(opts Options, out io.Writer) Logger {
	level := zap.NewAtomicLevel()
	encoder := newEncoder(opts.Format, isTerminal(out))
	queue := newLogQueue(out, encoder.Clone(), opts.QueueBytes)
	l := Logger{zap.New(zapcore.NewCore(encoder, queue, level), zap.ErrorOutput(queue)), level, queue}
	l.Set(opts.Level)
	return l
}

func newEncoder(format string, terminal bool) zapcore.Encoder {
	enc := zap.NewProductionEncoderConfig()
	if format == "console" || format == "auto" && terminal {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeLevel = zapcore.CapitalColorLevelEncoder
		return zapcore.NewConsoleEncoder(enc)
	}
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return zapcore.NewJSONEncoder(enc)
}

// Close writes what is still to be written, if anybody reads.
func (l Logger) Close() { l.Queue.close() }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Sampled returns a logger that writes ten lines of a message in a second and then
// few: a client may bring them about as often as it likes.
func Sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 10, 1000)
	}))
}
