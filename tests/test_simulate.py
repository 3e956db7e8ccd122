"""Simulated rows: their format, their physics against numbers worked out by hand, and how they reach the disk."""

import errno
import gzip
import itertools
import json
import re
import shutil
from collections import namedtuple

import numpy as np
import pytest

import events.higgs.simulate
from events.decimals import format_rows
from events.errors import DatasetError
from events.higgs import collisions, detector, kinematics, production, radiation, reconstruction
from events.higgs.columns import COLUMNS, FEATURES, JETS
from events.higgs.simulate import BLOCK_ROWS, generate, simulate_block, write_csv
from events.provenance import get_marker_path, is_simulated

N_TRIALS = 4000


@pytest.fixture(scope="module")
def rows():
    """One block of simulated rows, seed 0."""
    return simulate_block(0, 0)


@pytest.fixture
def fake_blocks(monkeypatch):
    """Blocks of cheap rows in place of the simulation; returns the numbers of the blocks asked for."""
    asked = []

    def make(seed, block):
        asked.append(block)
        return np.random.default_rng([seed, block]).normal(size=(BLOCK_ROWS, 29)).astype(np.float32)

    monkeypatch.setattr(events.higgs.simulate, "simulate_block", make)
    return asked


def get_column(rows, name):
    return rows[:, COLUMNS.index(name)]


def get_jets(rows):
    """Momenta in GeV [4, 4, n] of the four published jets, and their tags [4, n], from the rows alone."""
    momenta, tags = [], []
    for i, jet in enumerate(JETS):
        pt = get_column(rows, f"{jet}_pt") * reconstruction.JET_PT_UNITS[i]
        eta = get_column(rows, f"{jet}_eta") * reconstruction.JET_ETA_UNITS[i]
        phi = get_column(rows, f"{jet}_phi") * reconstruction.PHI_UNIT
        momenta.append([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
        tags.append(np.searchsorted(reconstruction.TAG_LEVELS[i], get_column(rows, f"{jet}_b_tag")))
    return np.array(momenta).transpose(1, 0, 2), np.array(tags)


def train_logistic(features, labels):
    """Scores [n] of a linear model with squares, fitted by Newton's method."""
    z = (features - features.mean(0)) / features.std(0)
    z = np.column_stack([np.ones(len(z)), z, np.minimum(z * z, 9.0)])
    weights = np.zeros(z.shape[1])
    for _ in range(8):
        p = 1.0 / (1.0 + np.exp(-z @ weights))
        hessian = (z * (p * (1.0 - p))[:, None]).T @ z + 1e-3 * np.eye(len(weights))
        weights += np.linalg.solve(hessian, z.T @ (labels - p))
    return z @ weights


def get_auc(labels, scores):
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    n_signal = int(labels.sum())
    return (ranks[labels == 1].sum() - n_signal * (n_signal + 1) / 2) / (n_signal * (len(labels) - n_signal))


# Format


def test_lines_are_those_of_the_published_file(tmp_path):
    lines = write_csv(tmp_path / "rows.csv", 50, 0).read_text().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 50
    value = r"-?\d\.\d{18}e[+-]\d\d"
    for line in lines:
        assert re.fullmatch(rf"[01]\.0{{18}}e\+00(,{value}){{28}}", line)


def test_published_value_is_written_as_published():
    assert format_rows(np.float32([[1.0, 0.8692932]])) == b"1.000000000000000000e+00,8.692932128906250000e-01\n"


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 1.0, -1.0, 0.5, 199.99998, 200.0, 1e-7, 9.999999e-8, 1e-30, 3e38, 1e-45, 12345678.0],
        [float(f"1e{exponent}") for exponent in range(-9, 5)],
        np.nextafter(np.float32(10.0) ** np.arange(-9, 5, dtype=np.float32), np.float32(0)),
        np.float32(2.0) ** np.arange(-40, 20, dtype=np.float32),
        np.random.default_rng(0).lognormal(0, 4, 20_000),
        -np.random.default_rng(1).normal(1, 0.5, 20_000),
    ],
    ids=["edges", "powers of ten", "below powers of ten", "powers of two", "wide", "typical"],
)
def test_text_is_exactly_that_of_c(values):
    values = np.asarray(values, np.float32)
    assert format_rows(values[None]).decode() == ",".join(f"{value:.18e}" for value in values.tolist()) + "\n"


def test_text_parses_to_the_same_float32(tmp_path):
    path = write_csv(tmp_path / "rows.csv", 300, 5)
    parsed = np.loadtxt(path, delimiter=",").astype(np.float32)
    np.testing.assert_array_equal(parsed, next(generate(300, 5)))


def test_rows_are_finite_and_as_wide_as_the_columns(rows):
    assert rows.shape == (BLOCK_ROWS, len(COLUMNS))
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


def test_labels_are_mixed_and_53_percent_signal(rows):
    labels = get_column(rows, "label")
    assert set(np.unique(labels)) == {0.0, 1.0}
    assert labels.mean() == pytest.approx(0.53, abs=0.02)
    for part in np.split(labels, 16):
        assert part.mean() == pytest.approx(0.53, abs=0.08)


# Random streams


def test_same_seed_gives_same_rows(rows):
    np.testing.assert_array_equal(simulate_block(0, 0), rows)


def test_seeds_and_blocks_give_different_rows(fake_blocks, rows):
    assert not np.array_equal(simulate_block(1, 0), rows)
    assert not np.array_equal(simulate_block(0, 1), rows)


def test_short_file_is_the_beginning_of_a_long_one(rows):
    short = np.concatenate(list(generate(BLOCK_ROWS + 100, 0)))
    np.testing.assert_array_equal(short[:BLOCK_ROWS], rows)
    np.testing.assert_array_equal(short[BLOCK_ROWS:], simulate_block(0, 1)[:100])


@pytest.mark.parametrize("chunk", [1000, BLOCK_ROWS, 3 * BLOCK_ROWS])
def test_chunks_do_not_change_the_rows(fake_blocks, chunk):
    chunks = list(generate(2 * BLOCK_ROWS + 7, 0, chunk))
    assert [len(part) for part in chunks[:-1]] == [chunk] * (len(chunks) - 1)
    expected = np.concatenate([events.higgs.simulate.simulate_block(0, block) for block in range(3)])
    np.testing.assert_array_equal(np.concatenate(chunks), expected[: 2 * BLOCK_ROWS + 7])


def test_eleven_million_rows_are_made_as_they_are_asked_for(fake_blocks):
    iterator = generate(11_000_000, 0)
    assert fake_blocks == []
    for _ in range(5):
        next(iterator)
    iterator.close()
    assert len(fake_blocks) <= 5 + events.higgs.simulate.N_THREADS + 1


# Physics


def test_decay_momentum_of_the_heavy_higgs():
    # (425^2 - (80.4 + 325)^2) (425^2 - (325 - 80.4)^2) = 16275.84 * 120795.84; its root over 2 * 425
    assert kinematics.decay_momentum(425.0, 80.4, 325.0) == pytest.approx(52.1649, abs=1e-3)


def test_massless_daughters_share_the_mass():
    assert kinematics.decay_momentum(125.0, 0.0, 0.0) == 62.5


def test_decay_below_threshold_has_no_momentum():
    assert kinematics.decay_momentum(np.array([100.0]), 60.0, 60.0) == 0.0


def test_decay_conserves_momentum_and_reproduces_the_masses():
    axis = kinematics.isotropic(np.random.default_rng(0), 100)
    first, second = kinematics.decay(np.full(100, 425.0), 80.4, 325.0, axis)
    np.testing.assert_allclose(first + second, np.outer([425.0, 0, 0, 0], np.ones(100)), atol=1e-10)
    np.testing.assert_allclose(kinematics.mass(first), 80.4)
    np.testing.assert_allclose(kinematics.mass(second), 325.0)


def test_boost_by_three_fifths_of_light_speed():
    # gamma = 5/4: E' = 5/4 (10 + 3/5 * 6) = 17, p' = 5/4 (6 + 3/5 * 10) = 15, and 17^2 - 15^2 = 10^2 - 6^2
    boosted = kinematics.boost(np.array([[10.0], [0], [0], [6.0]]), np.array([[5.0], [0], [0], [3.0]]), np.array([4.0]))
    np.testing.assert_allclose(boosted, [[17.0], [0.0], [0.0], [15.0]])


def test_tilted_axes_have_the_angle_asked_for():
    rng = np.random.default_rng(0)
    axis, cosine = kinematics.isotropic(rng, 100), rng.uniform(-1, 1, 100)
    tilted = kinematics.tilted(rng, axis, cosine)
    np.testing.assert_allclose((axis * tilted).sum(0), cosine, atol=1e-12)
    np.testing.assert_allclose((tilted**2).sum(0), 1.0)


def test_heavy_higgs_decays_through_the_chain_of_the_paper():
    partons = collisions.decay_heavy_higgs(np.random.default_rng(0), np.full(N_TRIALS, 425.0))
    np.testing.assert_allclose(partons.sum(axis=1), np.outer([425.0, 0, 0, 0], np.ones(N_TRIALS)), atol=1e-7)
    leptonic, hadronic, bb = partons[:, :2].sum(1), partons[:, 2:4].sum(1), partons[:, 4:].sum(1)
    np.testing.assert_allclose(kinematics.mass(bb), 125.0)
    assert np.median(kinematics.mass(leptonic)) == pytest.approx(80.4, abs=0.2)
    charged = np.stack([kinematics.mass(bb + leptonic), kinematics.mass(bb + hadronic)])
    nearest = np.abs(charged - 325.0).min(axis=0)
    assert np.quantile(nearest, 0.9) < 5.0  # widths of the charged Higgs boson, no more
    first = np.abs(charged[0] - 325.0) < np.abs(charged[1] - 325.0)
    assert first.mean() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("pair_mass", [346.0, 500.0])
def test_top_pair_decays_to_two_tops(pair_mass):
    partons = collisions.decay_top_pair(np.random.default_rng(0), np.full(N_TRIALS, pair_mass), np.zeros(N_TRIALS))
    np.testing.assert_allclose(partons.sum(axis=1), np.outer([pair_mass, 0, 0, 0], np.ones(N_TRIALS)), atol=1e-7)
    for quarks in ([0, 1, 4], [2, 3, 5]):
        masses = kinematics.mass(partons[:, quarks].sum(axis=1))
        assert np.median(masses) == pytest.approx(172.5, abs=0.1)


def test_collisions_conserve_transverse_momentum_up_to_the_soft_recoil():
    for signal in (True, False):
        partons, gluons = collisions.collide(np.random.default_rng(0), signal, N_TRIALS)
        balance = partons[1].sum(axis=0) + gluons[1].sum(axis=0)
        assert balance.std() == pytest.approx(collisions.SOFT_RECOIL, rel=0.05)


def test_gluon_emission_conserves_momentum():
    rng = np.random.default_rng(0)
    virtuality = radiation.draw_virtuality(rng, np.full(N_TRIALS, 125.0))
    quarks, _ = kinematics.decay(125.0, virtuality, 0.0, kinematics.isotropic(rng, N_TRIALS))
    before = quarks.copy()
    gluons = radiation.split(rng, quarks)
    np.testing.assert_allclose(quarks + gluons, before, atol=1e-9)
    np.testing.assert_allclose(kinematics.mass(gluons), 0.0, atol=1e-4)
    # no emission above 8 GeV of at most 0.45 * 125: (8 / 56.25)^0.42 = 0.441
    assert (gluons[0] == 0).mean() == pytest.approx(0.441, abs=0.03)


def test_slow_tops_fly_in_every_direction_and_fast_ones_along_the_beam():
    slow = production.top_pair_rate(345.1, np.array([0.0, 0.9]))
    fast = production.top_pair_rate(1000.0, np.array([0.0, 0.9]))
    assert slow[1] / slow[0] == pytest.approx(1.0, abs=0.01)
    assert fast[1] / fast[0] > 3.0


def test_production_is_even_in_rapidity():
    rapidity = production.draw_rapidity(np.random.default_rng(0), 425.0, 20_000)
    assert rapidity.mean() == pytest.approx(0.0, abs=0.03)
    assert 0.7 < rapidity.std() < 1.2


def test_pair_masses_start_at_two_tops():
    pair_mass, _, cosine = production.draw_top_pair(np.random.default_rng(0), 20_000)
    assert pair_mass.min() >= 2 * 172.5
    assert 380 < np.median(pair_mass) < 480
    assert cosine.mean() == pytest.approx(0.0, abs=0.02)


def test_neighbouring_jets_merge_and_keep_the_tag():
    def make_jet(pt, phi):
        return [pt, pt * np.cos(phi), pt * np.sin(phi), 0.0]

    jets = np.array([make_jet(50.0, 0.0), make_jet(30.0, 0.3), make_jet(40.0, 2.0)]).T[..., None].copy()
    tags = np.array([[0], [2], [1]])
    detector.merge(np.random.default_rng(0), jets, tags)
    assert jets[0].ravel() == pytest.approx([80.0, 0.0, 40.0])
    assert tags.ravel().tolist() == [2, 0, 1]


def test_neutrino_gives_the_lepton_the_w_mass():
    # back to back at 40 GeV each: cosh(d_eta) = 80.4^2 / 3200 - 1 = 1.02005, so d_eta = 0.2, a point of the grid
    lepton, missing = np.array([[40.0], [40.0], [0.0], [0.0]]), np.array([[-40.0], [0.0]])
    neutrino = reconstruction.find_neutrino(lepton, missing)
    assert abs(np.arcsinh(neutrino[3, 0] / 40.0)) == pytest.approx(0.2)
    assert kinematics.mass(lepton + neutrino)[0] == pytest.approx(80.4, abs=0.01)


def test_neutrino_flies_beside_the_lepton_where_the_w_mass_is_out_of_reach():
    # transverse mass 2 * 60 = 120 GeV: the nearest m_lv is at equal pseudorapidities
    lepton, missing = np.array([[60.0], [60.0], [0.0], [0.0]]), np.array([[-60.0], [0.0]])
    assert reconstruction.find_neutrino(lepton, missing)[3, 0] == 0.0


def test_masses_follow_from_the_published_jets(rows):
    jets, tags = get_jets(rows.astype(np.float64))
    both = np.count_nonzero(tags, axis=0) == 2
    bb = (jets * (tags > 0)).sum(axis=1)[:, both]
    expected = kinematics.mass(bb) / reconstruction.MASS_UNITS["m_bb"]
    # merged jets have a mass that the columns leave out, so the published mass may be a little larger
    ratio = get_column(rows, "m_bb")[both] / expected
    assert np.median(ratio) == pytest.approx(1.0, abs=2e-3)
    assert np.quantile(np.abs(ratio - 1), 0.8) < 0.02
    pairs = [jets[:, i] + jets[:, j] for i, j in itertools.combinations(range(4), 2)]
    m_jj = get_column(rows, "m_jj") * reconstruction.MASS_UNITS["m_jj"]
    known = np.min([np.abs(kinematics.mass(pair) / m_jj - 1) for pair in pairs], axis=0) < 0.02
    assert 0.5 < known.mean() < 0.9  # the rest take a fifth jet


def test_jets_fall_in_momentum_from_first_to_fourth_but_not_strictly(rows):
    jets, _ = get_jets(rows)
    pt = kinematics.transverse(jets)
    means = pt.mean(axis=1)
    assert (np.diff(means) < 0).all()
    for i in range(3):  # a quarter of the real neighbours are the other way round
        assert 0.2 < (pt[i] < pt[i + 1]).mean() < 0.32


def test_objects_pass_the_cuts(rows):
    jets, tags = get_jets(rows)
    assert kinematics.transverse(jets).min() >= 15.0 * (1 - 1e-6)
    assert (get_column(rows, "lepton_pt") * reconstruction.LEPTON_PT_UNIT).min() >= 15.0 * (1 - 1e-6)
    assert np.abs(get_column(rows, "lepton_eta")).max() <= 2.4349 * (1 + 1e-6)
    for jet, limit in zip(JETS, (2.9697, 2.9131, 2.7300, 2.4980), strict=True):
        assert 0.95 * limit < np.abs(get_column(rows, f"{jet}_eta")).max() <= limit * (1 + 1e-6)
    assert np.count_nonzero(tags, axis=0).max() == 2


def test_azimuths_fill_the_circle(rows):
    for name in (name for name in FEATURES if name.endswith("phi")):
        values = get_column(rows, name)
        assert 1.74 < values.max() <= 1.7433
        assert -1.7433 <= values.min() < -1.74
        assert values.mean() == pytest.approx(0.0, abs=0.03)


def test_tags_have_the_three_levels_of_their_column(rows):
    levels = [[0.0, 1.0865, 2.1731], [0.0, 1.1074, 2.2149], [0.0, 1.2740, 2.5482], [0.0, 1.5510, 3.1020]]
    for jet, expected in zip(JETS, levels, strict=True):
        values, counts = np.unique(get_column(rows, f"{jet}_b_tag"), return_counts=True)
        np.testing.assert_array_equal(values, np.float32(expected))
        assert counts[1] / (counts[1] + counts[2]) == pytest.approx(0.185, abs=0.03)


def test_columns_have_the_means_and_spreads_of_the_data_set(rows):
    for name in FEATURES:
        values = get_column(rows, name)
        if name.endswith(("_pt", "magnitude")) or name.startswith("m_"):
            assert values.mean() == pytest.approx(1.0, abs=0.1), name
        elif name.endswith(("eta", "phi")):
            assert values.std() == pytest.approx(1.0, abs=0.05), name


def test_signal_has_its_light_higgs_peak_in_m_bb(rows):
    labels, m_bb = get_column(rows, "label"), get_column(rows, "m_bb")
    counts, edges = np.histogram(m_bb[labels == 1], np.arange(0.2, 2.0, 0.1))
    peak = edges[counts.argmax()] + 0.05
    # 125 GeV is 0.99; neutrinos and lost gluons take some, as in the real rows, whose peak is at 0.87
    assert 0.75 < peak < 1.0
    in_peak = (m_bb > 0.7) & (m_bb < 1.05)
    assert in_peak[labels == 1].mean() > 1.7 * in_peak[labels == 0].mean()


def test_w_and_top_masses_peak_where_they_should(rows):
    background = rows[get_column(rows, "label") == 0]
    for name, mass in (("m_lv", 80.4), ("m_jj", 80.4), ("m_jjj", 172.5)):
        counts, edges = np.histogram(
            get_column(background, name) * reconstruction.MASS_UNITS[name], np.arange(0, 300, 5)
        )
        assert edges[counts.argmax()] + 2.5 == pytest.approx(mass, abs=6), name


def test_classes_differ_about_as_much_as_the_real_ones(rows):
    train, test = rows[:8000].astype(np.float64), rows[8000:].astype(np.float64)
    joined = np.concatenate([train, test])
    scores = train_logistic(joined[:, 1:], joined[:, 0])
    assert 0.68 < get_auc(joined[:, 0], scores) < 0.80
    for name in FEATURES:  # no single column may give the label away
        area = get_auc(joined[:, 0], get_column(joined, name))
        assert 0.38 < area < 0.62, name


# Files


@pytest.mark.parametrize("n_rows", [1, BLOCK_ROWS + 3])
def test_compressed_file_holds_the_same_bytes(fake_blocks, tmp_path, n_rows):
    plain, compressed = write_csv(tmp_path / "a.csv", n_rows, 0), write_csv(tmp_path / "a.csv.gz", n_rows, 0)
    content = plain.read_bytes()
    assert gzip.decompress(compressed.read_bytes()) == content
    assert content.count(b"\n") == n_rows


def test_same_request_gives_the_same_file(fake_blocks, tmp_path):
    first, second = write_csv(tmp_path / "a.csv.gz", 100, 0), write_csv(tmp_path / "b.csv.gz", 100, 0)
    assert first.read_bytes() == second.read_bytes()


def test_disk_estimates_are_a_little_above_the_truth(tmp_path):
    for suffix, estimate in events.higgs.simulate.BYTES_PER_ROW.items():
        n_bytes = write_csv(tmp_path / f"rows{suffix}", 3000, 0).stat().st_size
        assert 0.9 * estimate < n_bytes / 3000 < estimate


def test_marker_says_how_the_file_was_made(fake_blocks, tmp_path):
    path = write_csv(tmp_path / "rows.csv", 10, 4)
    marker = json.loads(get_marker_path(path).read_text())
    assert marker["origin"] == "simulated"
    assert (marker["seed"], marker["n_rows"], marker["generator_version"]) == (4, 10, 1)
    assert marker["sha256"] == events.higgs.simulate.hashlib.sha256(path.read_bytes()).hexdigest()


def test_simulated_files_are_known_by_marker_header_or_name(fake_blocks, tmp_path):
    plain, compressed = write_csv(tmp_path / "a.csv", 10, 0), write_csv(tmp_path / "a.csv.gz", 10, 0)
    assert is_simulated(plain)
    copies = [shutil.copy(plain, tmp_path / "copy.csv"), shutil.copy(compressed, tmp_path / "copy.csv.gz")]
    assert not is_simulated(copies[0])  # nothing in the file can tell
    assert is_simulated(copies[1])
    assert is_simulated(shutil.copy(plain, tmp_path / "Simulated-rows.csv"))


def test_real_files_are_not_taken_for_simulated(tmp_path):
    paths = [tmp_path / "HIGGS.csv", tmp_path / "HIGGS.csv.gz", tmp_path / "named.csv.gz", tmp_path / "short.csv.gz"]
    paths[0].write_text("1.0\n")
    paths[1].write_bytes(gzip.compress(b"simulated\n"))
    with open(paths[2], "wb") as file, gzip.GzipFile("HIGGS.csv", "wb", fileobj=file) as compressed:
        compressed.write(b"1.0\n")
    paths[3].write_bytes(b"\x1f\x8b\x08\x08")
    assert not any(map(is_simulated, [*paths, tmp_path / "missing.csv"]))


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_broken_off_writing_leaves_nothing_behind(fake_blocks, monkeypatch, tmp_path, error, suffix):
    break_off_after_a_block(monkeypatch, error)
    with pytest.raises(error):
        write_csv(tmp_path / f"rows{suffix}", 5 * BLOCK_ROWS, 0)
    assert list(tmp_path.iterdir()) == []


def break_off_after_a_block(monkeypatch, error: type[BaseException]) -> None:
    """Lets the first block of rows be written, and no other."""
    n_before = itertools.count()

    def fail(rows):
        if next(n_before):
            raise error
        return format_rows(rows)

    monkeypatch.setattr(events.higgs.simulate, "format_rows", fail)


def test_broken_off_writing_keeps_the_older_file(fake_blocks, monkeypatch, tmp_path):
    path = write_csv(tmp_path / "rows.csv", 10, 0)
    before = path.read_bytes()
    break_off_after_a_block(monkeypatch, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        write_csv(path, 2 * BLOCK_ROWS, 0)
    assert path.read_bytes() == before
    assert json.loads(get_marker_path(path).read_text())["n_rows"] == 10


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_full_disk_is_one_line(fake_blocks, monkeypatch, tmp_path, suffix):
    def fail(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(events.higgs.simulate._HashingFile, "write", fail)
    with pytest.raises(DatasetError, match=r"free disk space\. Received: No space left on device"):
        write_csv(tmp_path / f"rows{suffix}", 10, 0)
    assert list(tmp_path.iterdir()) == []


def test_disk_too_small_is_noticed_before_writing(fake_blocks, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DatasetError, match=r"11,000,000 rows need 8,140\.0 MB of disk\. Received: 1\.0 MB free"):
        write_csv(tmp_path / "rows.csv", 11_000_000, 0)
    assert fake_blocks == []


def test_real_file_is_never_replaced(fake_blocks, tmp_path):
    path = tmp_path / "HIGGS.csv"
    path.write_text("real\n")
    with pytest.raises(DatasetError, match=r"never replaces .* Received: .*HIGGS\.csv\. Choose another name\."):
        write_csv(path, 10, 0)
    assert path.read_text() == "real\n"


@pytest.mark.parametrize(
    ("name", "n_rows", "seed", "message"),
    [
        ("rows.csv", 0, 0, r"at least one row\. Received: 0\. Ask for 1 or more\."),
        ("rows.csv", 1, -1, r"not negative\. Received: -1\. Use 0 or more\."),
        ("rows.parquet", 1, 0, r"\.csv or \.csv\.gz file\. Received: .*rows\.parquet\. Change the ending\."),
        ("missing/rows.csv", 1, 0, r"existing, writable folder\. Received: .*missing\. Create it or choose another\."),
    ],
)
def test_bad_requests_are_refused(tmp_path, name, n_rows, seed, message):
    with pytest.raises(DatasetError, match=message):
        write_csv(tmp_path / name, n_rows, seed)


def test_bad_chunk_is_refused_at_once():
    with pytest.raises(DatasetError, match=r"A chunk holds at least one row\. Received: 0\."):
        generate(10, 0, chunk=0)
