package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"station-agent/store"
)

func exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Move the store into one file, for a new card",
		Long: "Move the store into one file, for a new card: identity, scans, unsent records and proofs. " +
			"A running agent ends for it. Afterwards the store here is marked as moved and not opened again, so that nothing is sent twice. " +
			"Blocks that the card doesn't give any more are zeros in FILE and said.",
		Args: oneArg("name one FILE, on another disk than the store"),
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		m, err := a.export(cmd, file)
		if err != nil {
			return err
		}
		for _, f := range m.Files {
			for _, s := range f.Lost {
				fmt.Fprintf(cmd.ErrOrStderr(), "station-agent: warning: %s: %d bytes from byte %d could not be read and are zeros in the file\n", f.Name, s.Bytes, s.Offset)
			}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s holds the store %s: %d files; on the new card: station-agent store import FILE\n", file, m.Store, len(m.Files))
		return nil
	}
	return cmd
}

// export has the running agent export its store, or does it itself if none runs.
func (a agentAt) export(cmd *cobra.Command, file string) (store.Manifest, error) {
	if *a.socket == "" {
		c, err := loadConfig(*a.config)
		if err != nil {
			return store.Manifest{}, err
		}
		if inside(filepath.Dir(file), c.Store.Folder) {
			return store.Manifest{}, usageError{fmt.Errorf("%s lies inside the store: name a file on another disk", file)}
		}
	}
	running, err := a.running(cmd.Context())
	switch {
	case err != nil:
		return store.Manifest{}, err
	case running:
		return a.exportRunning(cmd, file)
	case *a.socket != "":
		return store.Manifest{}, fmt.Errorf("no agent answers at %s: name the configuration with --config", *a.socket)
	}
	c, err := loadConfig(*a.config)
	if err != nil {
		return store.Manifest{}, err
	}
	return exportStopped(c.Store.Folder, file)
}

// exportRunning takes the archive from the agent and gives it the word that the file is safe. The agent is asked only when
// there is a file to write to: it ends for this.
func (a agentAt) exportRunning(cmd *cobra.Command, file string) (m store.Manifest, err error) {
	var conn io.ReadWriteCloser
	var in *bufio.Reader
	m, err = writeArchive(file, func(w io.Writer) error {
		if conn, err = a.takeOver(cmd, file); err != nil {
			return err
		}
		in = bufio.NewReader(conn)
		if _, err := io.Copy(w, httputil.NewChunkedReader(in)); err != nil {
			return fmt.Errorf("take store from agent: %w: it has ended: see its log", err)
		}
		return hear(in, complete)
	})
	if conn != nil {
		defer conn.Close()
	}
	if err != nil {
		return m, err
	}
	if _, err = fmt.Fprintln(conn, safe); err == nil {
		err = hear(in, moved)
	}
	if err != nil {
		return m, fmt.Errorf("%s is whole, but the store was perhaps not marked as moved: %w: if the agent goes on with it, don't import the file: export again", file, err)
	}
	return m, nil
}

// takeOver asks for the store and gives the connection on which it comes.
func (a agentAt) takeOver(cmd *cobra.Command, file string) (io.ReadWriteCloser, error) {
	res, err := a.request(cmd.Context(), http.MethodPost, "/store/export?"+url.Values{"to": {file}}.Encode(), nil)
	if err != nil {
		return nil, err
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return nil, errors.Join(errors.New("export store: the agent does not hand it out: is it of another version?"), res.Body.Close())
	}
	return conn, nil
}

// exportStopped exports the store of a stopped agent.
func exportStopped(folder, file string) (m store.Manifest, err error) {
	f, err := store.Lock(folder)
	if err != nil {
		return m, err
	}
	defer f.Close()
	m, err = writeArchive(file, func(w io.Writer) error {
		_, err := f.Export(w, time.Now())
		return err
	})
	if err != nil {
		return m, err
	}
	if err := f.Moved(file, time.Now()); err != nil {
		return m, fmt.Errorf("%w: %s is whole, but this store is not marked: don't import it before the store is out of use", err, file)
	}
	return m, nil
}

func existsError(file string) error {
	return fmt.Errorf("write %s: it is there already: name another file", file)
}

// writeArchive fills a file, makes it durable, reads it again from the disk and only then gives it its name.
func writeArchive(file string, fill func(io.Writer) error) (m store.Manifest, err error) {
	if _, err := os.Lstat(file); err == nil {
		return m, existsError(file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("write %s: %w: name a place that this user can write", file, err)
	}
	temp := file + ".tmp"
	defer func() {
		if err != nil {
			os.Remove(temp) // nobody wants a piece
		}
	}()
	if err = writeDurably(temp, fill); err != nil {
		return m, err
	}
	if m, err = verify(temp); err != nil {
		return m, fmt.Errorf("read %s again: %w", temp, err)
	}
	if err = os.Rename(temp, file); err != nil {
		return m, err
	}
	return m, syncDir(filepath.Dir(file))
}

// writeDurably fills a file, flushes it and drops the kernel's copy of it, so that the disk itself is read next.
func writeDurably(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // advice only
	return errors.Join(err, f.Close())
}

func verify(path string) (store.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return store.Manifest{}, err
	}
	defer f.Close()
	return store.Verify(f)
}

// syncDir makes a new name durable, where the file system can.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make the store of this configuration out of an exported one",
		Long: "Make the store of this configuration out of an exported one. The store folder must be empty or missing. " +
			"Import a file once: two stores from one file would both send.",
		Args: oneArg("name one FILE: station-agent store export makes it"),
	}
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := loadConfig(*config)
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		m, err := store.Import(c.storeConfig(nil), f)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is the store %s as it was at %s\n", c.Store.Folder, m.Store, moment(m.At))
		losses, err := store.Check(c.Store.Folder, true, probe)
		if err != nil {
			return err
		}
		for _, l := range losses {
			fmt.Fprintln(cmd.ErrOrStderr(), "station-agent: warning:", lossText(l))
		}
		return nil
	}
	return cmd
}

func reopenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reopen",
		Short: "Take an export back, if the exported file was never imported",
		Args:  noArgs,
	}
	config := configFlag(cmd)
	yes := cmd.Flags().Bool("yes", false, "the file was never imported and never will be")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(*config)
		if err != nil {
			return err
		}
		f, err := store.Lock(c.Store.Folder)
		if err != nil {
			return err
		}
		defer f.Close()
		if to, err := f.Move(); err == nil && to != nil && !*yes {
			return usageError{fmt.Errorf("the store was moved to %s at %s: if that copy is in use anywhere, both would send and scans would part; destroy it, then add --yes", to.To, moment(to.At))}
		}
		m, err := f.Reopen()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "the store is open again: destroy %s\n", m.To)
		return err
	}
	return cmd
}
