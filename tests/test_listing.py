import os
import socket

import boto3
import moto
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from events.errors import DatasetError
from events.listing import any_span, list_files, match_files, split_pattern, stem, to_local, to_pattern


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1,2\n")


def names(path, folder) -> list[str]:
    """What `path` lists, below `folder`; the glob that TFX is given lists the same."""
    files = list_files(str(path))
    assert match_files(os.path.join(*split_pattern(to_pattern(str(path))))) == files
    return [os.path.relpath(file, folder) for file in files]


def test_folder_holds_its_csv_files_and_no_hidden_ones(folder):
    make(folder, "b.csv", "a.csv.gz", "._b.csv", ".c.csv", "_d.csv", "_SUCCESS", "notes.txt", "e.csv.bak", "sub/f.csv")
    assert names(folder, folder) == names(".", folder) == names("./*", folder) == ["a.csv.gz", "b.csv"]


def test_glob_goes_into_no_hidden_folder_unless_it_says_so(folder):
    make(folder, "a/1.csv", "_temporary/2.csv", ".cache/3.csv", "b/_4.csv", "b/5.csv")
    assert names("*/*.csv", folder) == ["a/1.csv", "b/5.csv"]
    assert names("_temp*/*.csv", folder) == ["_temporary/2.csv"]
    assert names(".cache/*.csv", folder) == [".cache/3.csv"]
    assert names("b/_*.csv", folder) == ["b/_4.csv"]


@pytest.mark.parametrize("name", ["_rows.csv", ".rows.csv", "rows.txt", "a[1].csv", "*.csv", "what?.csv", "{SPAN}.csv"])
def test_file_named_outright_is_taken_whatever_its_name(folder, name):
    make(folder, name, "a1.csv", "whats.csv")
    assert names(name, folder) == [name]
    assert any_span(to_pattern(name)) == to_pattern(name)


def test_what_exists_is_no_glob(folder):
    make(folder, "d[1]/rows.csv", "d1/other.csv", "d[1]/x[ab]/1.csv", "d[1]/xa/2.csv")
    assert names("d[1]", folder) == ["d[1]/rows.csv"]
    assert names("d[1]/*", folder) == ["d[1]/rows.csv"]
    assert names("d[1]/x[ab]", folder) == names("d[1]/x[ab]/?.csv", folder) == ["d[1]/x[ab]/1.csv"]
    assert names("d[0-9]/*.csv", folder) == ["d1/other.csv"]
    assert names("d[[]1]/*", folder) == ["d[1]/rows.csv"]


def test_numbers_in_names_are_ordered_as_numbers(folder):
    parts = [f"part-{number}.csv" for number in range(1, 12)]
    make(folder, *parts)
    assert names(folder, folder) == parts
    make(
        folder, "y/2/a-9.csv", "y/2/a-10.csv", "y/10/a-1.csv", "y10/2/b.csv", "y2/2/01.csv", "y2/2/1.csv", "y2/2/0.csv"
    )
    assert names("y*/*/*", folder) == [
        *("y/2/a-9.csv", "y/2/a-10.csv", "y/10/a-1.csv"),
        *("y2/2/0.csv", "y2/2/01.csv", "y2/2/1.csv", "y10/2/b.csv"),
    ]


def test_split_pattern_begins_with_what_no_glob_or_placeholder_is_in():
    assert split_pattern("/data/day-*/HIGGS.csv.gz") == ("/data", "day-*/HIGGS.csv.gz")
    assert split_pattern("/data[[]1]/*.csv*") == ("/", "data[[]1]/*.csv*")
    assert split_pattern("/rows.csv") == ("/", "rows.csv")
    assert split_pattern("gs://bucket/day-{SPAN}/x.csv") == ("gs://bucket", "day-{SPAN}/x.csv")
    assert any_span("/data/{YYYY}-{MM}-{DD}/{SPAN:2}.csv") == "/data/*-*-*/*.csv"


def test_file_urls_are_paths(folder):
    make(folder, "rows 1.csv")
    assert (
        names(f"file://{folder}/rows%201.csv", folder) == names(f"file://localhost{folder}/*", folder) == ["rows 1.csv"]
    )
    assert to_local("gs://bucket/rows%201.csv") == "gs://bucket/rows%201.csv"


def fault(path) -> str:
    with pytest.raises(DatasetError) as caught:
        list_files(str(path))
    [line] = str(caught.value).splitlines()
    assert "Received: " in line
    assert line[-1] == "."
    return line


def test_case_of_a_suffix_is_none_of_ours(folder):
    make(folder, "a.CSV", "b.csv.GZ", "c.Csv", "d.CSV.gz", "e.CSVX", "f.TXT")
    found = ["a.CSV", "b.csv.GZ", "c.Csv", "d.CSV.gz"]
    assert names(folder, folder) == names("*", folder) == found
    assert [stem(name) for name in found] == ["a", "b", "c", "d"]
    make(folder, "a.csv.gz")
    assert f"{folder}/a.CSV and {folder}/a.csv.gz. Remove one" in fault(folder)


@pytest.mark.parametrize("name", ["b.csv.bz2", "b.csv.xz", "b.CSV.ZIP", "b.csv.zst"])
def test_rows_that_are_packed_otherwise_are_refused_instead_of_left_out(folder, name):
    make(folder, "a.csv", name)
    expected = f"Data are .csv or .csv.gz. Received: {folder}/{name}. Compress it with gzip, or move it away."
    assert fault(folder) == fault("*") == expected
    assert names("*.csv", folder) == ["a.csv"]


def test_file_beside_its_compressed_self_is_refused(folder):
    make(folder, "rows.csv", "rows.csv.gz", "other.csv")
    assert f"{folder}/rows.csv and {folder}/rows.csv.gz. Remove one" in fault(folder)
    assert names("r*.csv", folder) == ["rows.csv"]
    assert names("rows.csv.gz", folder) == ["rows.csv.gz"]


def test_file_beside_a_link_to_it_is_refused(folder):
    make(folder, "rows.csv")
    (folder / "same.csv").symlink_to("rows.csv")
    assert f"{folder}/rows.csv and {folder}/same.csv. Remove one" in fault(folder)
    assert names("same.csv", folder) == ["same.csv"]


def test_what_is_no_file_is_refused_at_once(folder):
    (folder / "x.csv").mkdir()
    assert f"Data must be files. Received: {folder}/x.csv, a folder." in fault(folder)
    os.mkfifo(folder / "pipe")
    assert f"{folder}/pipe, a pipe or a device. Write its rows to a file" in fault("pipe")
    reading, writing = os.pipe()
    assert f"/dev/fd/{reading}, a pipe or a device." in fault(f"/dev/fd/{reading}")
    os.close(reading)
    os.close(writing)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.csv")
        assert "socket.csv, a pipe or a device." in fault("socket.csv")
    (folder / "broken.csv").symlink_to("nothing.csv")
    assert "broken.csv, a link to nothing." in fault("broken.csv")
    assert "Data must exist. Received: " in fault("none.csv")
    assert f"{folder}/[a]/*.csv. Check the path" in fault("[a]/*.csv")
    (folder / "[b]").mkdir()
    assert f"{folder}/[b]. Check the path" in fault("[b]")
    assert "A file:// URL names a file of this machine. Received: file://host/x.csv, of 'host'." in fault(
        "file://host/x.csv"
    )


@pytest.fixture
def in_a_run(monkeypatch):
    """Beam's file systems have options, as in a process that has run a stage; S3 without them is refused by Beam."""
    monkeypatch.setattr(FileSystems, "_pipeline_options", PipelineOptions([]))


@pytest.mark.parametrize(
    "url", ["s3://bucket/rows.csv", "http://host/rows.csv", "https://host/*.csv", "ftp://host/x.csv"]
)
def test_place_that_beam_does_not_read_is_refused_at_once(url, in_a_run, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # a service of that cloud's machines, which we are not on
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waits for {seconds} s"))
    assert f"Data must be on this machine or where Beam can read it, as gs://. Received: {url}: " in fault(url)


def test_bucket_that_credentials_open_is_listed_by_beam(in_a_run, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        bucket = boto3.resource("s3").create_bucket(Bucket="bucket")
        for name in ("day-10/a.csv", "day-2/b.csv.gz", "day-2/_c.csv", "other.txt"):
            bucket.put_object(Key=name, Body=b"1,2\n")
        assert list_files("s3://bucket/day-*/*") == ["s3://bucket/day-2/b.csv.gz", "s3://bucket/day-10/a.csv"]
