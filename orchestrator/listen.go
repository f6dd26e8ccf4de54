package orchestrator

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// ListenUnix is the address of the Unix socket in the data directory.
const ListenUnix = "unix"

// listenUnixPath begins the address of a Unix socket somewhere else.
const listenUnixPath = "unix:"

// maxSocketPath bounds the path of a Unix socket, in bytes. Linux takes 107 and
// macOS 103; while it is made, the socket has a name that may be some bytes longer.
const maxSocketPath = 96

// ErrListen says that an address cannot be listened at.
var ErrListen = errors.New("cannot listen")

// endpointListener is one address that the daemon serves at.
type endpointListener struct {
	net.Listener
	// url is how a client names it: unix:///path or http(s)://host:port.
	url string
	// local says that only this machine's users can reach it, so that no token is needed.
	local bool
	// socket is the path of a Unix socket, to be removed at the end; empty is none.
	socket string
}

// listen opens an address: "unix", "unix:/path", or "host:port".
func listen(ctx context.Context, address, dataDir string) (*endpointListener, error) {
	address = cmp.Or(address, ListenUnix)
	if address == ListenUnix {
		path, err := defaultSocket(dataDir)
		if err != nil {
			return nil, err
		}
		return listenSocket(ctx, path)
	}
	if path, ok := strings.CutPrefix(address, listenUnixPath); ok {
		return listenSocket(ctx, strings.TrimPrefix(path, "//"))
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("%w at %q: an address is unix, unix:/path, or host:port: %w", ErrListen, address, err)
	}
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrListen, address, err)
	}
	return &endpointListener{Listener: l, url: "http://" + reachable(l.Addr().String()), local: config.Local(address)}, nil
}

// reachable names an address that all interfaces listen at by one that a client can dial.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// defaultSocket is api.sock in the data directory or, where that path is too
// long for a socket, one named after it in a directory that only this user can use.
func defaultSocket(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "api.sock")
	if len(path) <= maxSocketPath {
		return path, nil
	}
	dir, err := privateRuntimeDir(os.Getenv("XDG_RUNTIME_DIR"), os.TempDir())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(dataDir))
	return filepath.Join(dir, hex.EncodeToString(sum[:8])+".sock"), nil
}

// privateRuntimeDir makes, or verifies, a directory of this user for sockets.
// The temporary directory is everybody's: what somebody else has put there is refused.
func privateRuntimeDir(runtimeDir, temp string) (string, error) {
	base := temp
	if filepath.IsAbs(runtimeDir) {
		base = runtimeDir
	}
	dir := filepath.Join(base, fmt.Sprintf("orchestrator-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%w: make a directory for the socket: %w", ErrListen, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("%w: look at the directory for the socket: %w", ErrListen, err)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || known && int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%w: %s is not a directory that this user alone can use: remove it, or choose an address with --listen", ErrListen, dir)
	}
	return dir, nil
}

// listenSocket makes a Unix socket that only its owner can use. One that is
// left behind by a daemon that was killed is replaced; one that answers is not.
func listenSocket(ctx context.Context, path string) (_ *endpointListener, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrListen, path, err)
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%w at %s: the path has %d bytes, and a socket's may have %d: choose a shorter one", ErrListen, path, len(path), maxSocketPath)
	}
	if err := refuseTaken(ctx, path); err != nil {
		return nil, err
	}
	// The socket is made where nobody else can reach it, since it gets its
	// permissions only after it is there, and then moved over what is left of an older one.
	making := filepath.Join(filepath.Dir(path), ".s"+strings.ToLower(rand.Text()[:4]))
	if err := os.Mkdir(making, 0o700); err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrListen, path, err)
	}
	defer func() { err = errors.Join(err, os.Remove(making)) }()
	made := filepath.Join(making, "s")
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "unix", made)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrListen, path, err)
	}
	if socket, ok := l.(*net.UnixListener); ok {
		socket.SetUnlinkOnClose(false) // it knows the name that the socket was made under
	}
	err = os.Chmod(made, 0o600)
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w at %s: %w", ErrListen, path, err), l.Close(), os.Remove(made))
	}
	return &endpointListener{Listener: l, url: "unix://" + path, local: true, socket: path}, nil
}

// refuseTaken finds out whether a path may be replaced by a new socket.
func refuseTaken(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrListen, path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w at %s: there is something else than a socket: remove it, or choose another path", ErrListen, path)
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil // nobody has it open any more
	}
	if err != nil {
		return fmt.Errorf("%w at %s: find out whether somebody listens there: %w", ErrListen, path, err)
	}
	return errors.Join(fmt.Errorf("%w at %s: another process listens there: stop it, or choose another path", ErrListen, path), conn.Close())
}

// encrypt makes it speak TLS.
func (l *endpointListener) encrypt(c *tls.Config) {
	l.Listener = tls.NewListener(l.Listener, c)
	l.url = "https" + strings.TrimPrefix(l.url, "http")
}

// Close ends the listening and removes the socket. It may be called again.
func (l *endpointListener) Close() error {
	err := l.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	if l.socket != "" {
		err = errors.Join(err, os.Remove(l.socket))
	}
	return err
}
