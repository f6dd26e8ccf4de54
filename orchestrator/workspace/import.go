package workspace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// importFiles makes the commit of a snapshot with git fast-import, which takes
// the bytes of the files as they are, whatever filters the repository has.
func (m *maker) importFiles(ctx context.Context, s *snapshot, who string, parents []string) (commit string, err error) {
	// A name of its own: fast-import wants one, and it goes away again.
	temporary := RefPrefix(m.Task) + "saving"
	if _, err := m.git.run(ctx, "update-ref", "-d", temporary); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(m.Dir)
	if err != nil {
		return "", keepf("it cannot be read: %v", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	reader, writer := io.Pipe()
	written := make(chan error, 1)
	go func() {
		buffered := bufio.NewWriterSize(writer, 64<<10)
		err := m.writeImport(ctx, buffered, root, s, who, temporary, parents)
		if err == nil {
			err = buffered.Flush()
		}
		written <- err
		_ = writer.CloseWithError(err) // it never fails
	}()
	_, err = m.here().feed(ctx, reader, "fast-import", "--quiet", "--done", "--force", "--date-format=raw")
	_ = reader.Close() // it never fails; it ends the writer where git has gone
	if writeErr := <-written; writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) {
		err = writeErr
	}
	if failed, ok := errors.AsType[*gitError](err); ok && !isBusy(err) && !isFull(err) {
		return "", keepf("git could not take what is in it: %s", oneLine(failed.stderr))
	}
	if err != nil {
		return "", err
	}
	if commit, err = m.git.run(ctx, "rev-parse", "--verify", temporary+"^{commit}"); err != nil {
		return "", err
	}
	_, err = m.git.run(ctx, "update-ref", "-d", temporary)
	return commit, err
}

// writeImport writes what fast-import reads.
func (m *maker) writeImport(ctx context.Context, out *bufio.Writer, root *os.Root, s *snapshot, who, ref string, parents []string) error {
	message := "What was in the worktree of task " + m.Task + ": " + s.describe(m.Branch)
	fmt.Fprintf(out, "commit %s\nauthor %s\ncommitter %s\ndata %d\n%s\nfrom %s\n", ref, who, who, len(message), message, parents[0])
	for _, parent := range parents[1:] {
		fmt.Fprintf(out, "merge %s\n", parent)
	}
	fmt.Fprintf(out, "M 040000 %s \"\"\n", s.indexTree)
	for _, name := range s.diff.gone {
		fmt.Fprintf(out, "D %s\n", quotePath(name))
	}
	for _, name := range s.diff.raw {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := writeFile(out, root, name, s.tree.files[name]); err != nil {
			return err
		}
	}
	_, err := out.WriteString("done\n")
	return err
}

func writeFile(out *bufio.Writer, root *os.Root, name string, file found) error {
	if file.mode.Type() == fs.ModeSymlink {
		target, err := root.Readlink(name)
		if err != nil {
			return keepf("%s cannot be read: %v", name, err)
		}
		fmt.Fprintf(out, "M 120000 inline %s\ndata %d\n", quotePath(name), len(target))
		_, err = out.WriteString(target + "\n")
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return keepf("%s cannot be read: %v", name, err)
	}
	mode := "100644"
	if file.mode&0o100 != 0 {
		mode = "100755"
	}
	fmt.Fprintf(out, "M %s inline %s\ndata %d\n", mode, quotePath(name), file.size)
	n, err := io.Copy(out, io.LimitReader(f, file.size))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && n < file.size {
		return keepf("%s is being written", name)
	}
	if err == nil {
		_, err = out.WriteString("\n")
	}
	return err
}

// quotePath writes a path as C does, in which form any bytes are allowed.
func quotePath(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
