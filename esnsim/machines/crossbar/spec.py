"""What analog crossbars are made of: frozen descriptions, ideal by default."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, ClassVar

from esnsim.errors import UsageError, check_known
from esnsim.machines.array.spec import WIDEST
from esnsim.machines.base import Kind, LayerEngine, Operation, Option
from esnsim.machines.crossbar.converters import ADC_LAWS, ADC_RANGES, WIDEST_ADC, conversion_energy

if TYPE_CHECKING:
    from esnsim.quantization.quantizer import QuantizedLayer

AUTO = "auto"  # bits of a converter: the least that loses nothing, a layer
SIGNS = ("differential", "offset")
SCOPES = ("filter", "layer")
MOST_ROWS = 1 << 20  # rows, and columns
CONVERTER_PRICES = ("adc_law", "e_adc", "vdd", "e_dac", "e_shift_add")


@dataclass(frozen=True, slots=True)
class CrossbarSpec:
    """Arrays of rows × columns cells that multiply by conductance and add up by current.

    Weights are cut into slices of `bits_per_cell` and activations into slices of `dac_bits`; None
    leaves them whole. A `differential` pair of cells holds positive and negative magnitudes,
    subtracted before the converter; an `offset` is added to weights, and subtracted digitally;
    with `flip` a column of an array that then sums to more than half of the most is stored
    inverted, which a converter of a bit less reads, and undone from the sum of the inputs.
    `adc_bits` None is an ideal converter, "auto" in each layer the least that loses nothing, with
    steps of one cell; `adc_range` is the whole possible range (`max`), steps
    of one cell at one input (`granular`), or from percentile 100 − `percentile` to `percentile`
    of the sums observed (`calibrated`). With `zero_level` one of its codes is 0; without, the codes
    span the range and 0 lies between two of them, as in CrossSim's default converter.

    `programming_error` is the σ of a cell, relative to the largest cell or, if `proportional`, to
    itself; `read_noise` that of each product, relative to the largest cell. `on_off_ratio` is the
    largest conductance over that of a cell at zero, None if infinite.

    A cell operation takes `e_cell`, or with an `exponent` p that times |W|^p, W the cell's value
    in quantisation steps: its own in class B, in class A the largest of the `scope`. Energies are
    in pJ if `priced`, else in units of the cell operation at |W| = 1; `converters`, which have a
    part in them or not, are always in pJ: see `converters.conversion_energy`.
    """

    kind: ClassVar[str] = "analog"

    rows: int = 128
    columns: int = 128
    bits_per_cell: int | None = None
    sign: str = "differential"
    flip: bool = False
    activation_bits: int = 8
    dac_bits: int | None = None
    adc_bits: int | str | None = None
    adc_range: str = "max"
    percentile: float = 99.9
    zero_level: bool = True
    programming_error: float = 0.0
    proportional: bool = False
    read_noise: float = 0.0
    on_off_ratio: float | None = None
    exponent: float | None = 2
    amplitude_class: str = "B"
    scope: str = "layer"
    e_cell: float = 1.0
    priced: bool = False
    converters: bool = False
    adc_law: str = "scaled"
    e_adc: float = 1.667
    vdd: float = 0.9
    e_dac: float = 0.39
    e_shift_add: float = 0.021

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_names()
        for name in ("programming_error", "read_noise", "exponent", "e_cell", "e_adc", "vdd",
                     "e_dac", "e_shift_add"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not (value >= 0 and isfinite(value)):
                raise UsageError(f"a crossbar with {name} = {value}: give a number of 0 or more")
        if self.on_off_ratio is not None and not self.on_off_ratio > 1:
            raise UsageError(f"an on/off ratio of {self.on_off_ratio}: give a number above 1")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"percentile {self.percentile}: give a number above 50, up to 100")
        if self.adc_bits == 1 and self.zero_level and self.sign == "differential":
            raise UsageError(
                "a converter of 1 bit has no codes for 0 and both signs of a pair: give adc_bits "
                "of 2 or more, or zero_level = false"
            )
        self._check_prices()

    def _check_prices(self) -> None:
        """Nothing that has a price is left out of the energy, and nothing is added to it in pJ."""
        own = [name for name in CONVERTER_PRICES if getattr(self, name) != _default(name)]
        if self.converters and not self.priced:
            raise UsageError("converters are priced in pJ: give e_cell in pJ too")
        if own and not self.converters:
            raise UsageError(
                f"{own[0]} prices conversions, which have no part in the energy: give --adc-law, "
                "or converters: true in a file"
            )
        if self.priced and self.adc_bits is not None and not self.converters:
            raise UsageError(
                f"cells are priced and {self.adc_bits}-bit converters are not: give --adc-law (in "
                "a file converters: true), or leave adc_bits ideal"
            )
        if self.converters and self.adc_bits != AUTO:
            conversion_energy(self.adc_law, self.adc_bits, self.e_adc, self.vdd)

    def _check_sizes(self) -> None:
        least = {"rows": 1, "columns": self.cells_per_weight, "activation_bits": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise UsageError(
                    f"a crossbar with {name} = {value}: give a whole number of {low} or more"
                )
            if value > MOST_ROWS:
                raise UsageError(f"a crossbar with {name} = {value}: give at most {MOST_ROWS:,}")
        for name, most in (("activation_bits", WIDEST), ("bits_per_cell", WIDEST),
                           ("dac_bits", WIDEST), ("adc_bits", WIDEST_ADC)):  # fmt: skip
            value = getattr(self, name)
            if name == "adc_bits" and value == AUTO:
                continue
            if value is not None and not (isinstance(value, int) and 1 <= value <= most):
                raise UsageError(
                    f"a crossbar with {name} = {value}: give a whole number from 1 to {most}"
                    + ("" if name == "activation_bits" else ", or None if it is ideal")
                )

    def _check_names(self) -> None:
        for what, value, names in (
            ("sign", self.sign, SIGNS),
            ("adc_range", self.adc_range, ADC_RANGES),
            ("amplitude_class", self.amplitude_class, ("A", "B")),
            ("scope", self.scope, SCOPES),
            ("adc_law", self.adc_law, ADC_LAWS),
        ):
            check_known(what, value, names)
        if self.flip and self.sign != "offset":
            raise UsageError("columns are inverted that hold no signs: give sign = 'offset'")

    @property
    def calibrates(self) -> bool:
        """Whether converters take their ranges from activations that are observed first."""
        return self.adc_bits not in (None, AUTO) and self.adc_range == "calibrated"

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.rows} × {self.columns} cells"

    @property
    def variant(self) -> str:
        """None."""
        return ""

    @property
    def ideal_formula(self) -> str:
        """`ideal_energy` in words."""
        return "e_cell·ESNa"

    @property
    def operation(self) -> Operation:
        """What energies are relative to."""
        return Operation("cell operation at |W| = 1", "cell operations at |W| = 1", self.e_cell)

    def ideal_energy(self, amplitude_x4: int, mac_bits: int) -> float:
        """e_cell·ESNa."""
        return self.e_cell * amplitude_x4 / 4

    def prepare(self, layer: "QuantizedLayer", seed: Sequence[int], threads: int) -> LayerEngine:
        """A layer programmed into crossbars."""
        from esnsim.machines.crossbar.result import CrossbarLayer

        return CrossbarLayer(self, layer, seed, threads)

    @property
    def cells_per_weight(self) -> int:
        """Cells that hold one slice of a weight, side by side in a row."""
        return 2 if self.sign == "differential" else 1

    @property
    def input_bits(self) -> int:
        """Bits of an activation that are driven at once."""
        return min(self.dac_bits or self.activation_bits, self.activation_bits)

    @property
    def input_slices(self) -> int:
        """Reads that an activation takes."""
        return -(-self.activation_bits // self.input_bits)

    @property
    def noisy(self) -> bool:
        """Whether errors or noise are drawn."""
        return bool(self.programming_error or self.read_noise)

    @property
    def exact(self) -> bool:
        """Whether outputs are those of a digital array."""
        return self.adc_bits is None and not self.noisy

    @property
    def ideal_amplitude(self) -> bool:
        """Whether the amplitude of its cell operations is four times ESNa (Eq. 2)."""
        whole = self.bits_per_cell is None and self.input_slices == 1
        squared = self.exponent == 2 and self.amplitude_class == "B"
        return whole and squared and self.sign == "differential"


def _default(name: str) -> object:
    return CrossbarSpec.__dataclass_fields__[name].default


#: ISAAC: Shafiee et al. 2016 (doi:10.1109/ISCA.2016.12), 32 nm. An array is read in 100 ns at
#: 0.3 mW, 1.83 fJ a cell, whatever its cells hold; 1.667 pJ an 8-bit conversion (2 mW at 1.2 GS/s);
#: 0.39 pJ a driven row (3.9 µW); 0.021 pJ a shift-and-add. Its own activations and weights have 16
#: bits. Columns of large cells are inverted, so that sums of 128 rows fit 8 bits: 192 at most.
PRESETS = {
    "ideal-analog": CrossbarSpec(),
    "isaac": CrossbarSpec(
        rows=128, columns=128, bits_per_cell=2, sign="offset", flip=True, dac_bits=1, adc_bits=8,
        adc_range="granular", exponent=None, e_cell=0.00183, priced=True,
        converters=True,
    ),
}  # fmt: skip

KIND = Kind(
    describe=CrossbarSpec,
    presets=PRESETS,
    default="ideal-analog",
    options=(
        Option(field="activation_bits", help="default 8", whole=True),
        Option(
            field="adc_bits",
            help="of analog converters; auto: in each layer the least that loses nothing",
            whole=True,
            words=(AUTO,),
        ),
        Option(
            field="adc_range", help="of analog converters", choices=ADC_RANGES, needs="adc_bits"
        ),
        Option(
            field="adc_law",
            help="price conversions, driven rows and shift–adds too, conversions by this law",
            choices=ADC_LAWS,
            sets=(("converters", True),),
        ),
    ),
    prices=(
        Option(field="e_cell", help="an analog cell operation at |W| = 1"),
        Option(field="e_adc", help="an analog conversion (of 8 bits under --adc-law scaled)"),
    ),
    unlisted=(
        Option(field="e_dac", help="a driven row of an analog array"),
        Option(field="e_shift_add", help="a shift–add behind an analog conversion"),
    ),
)
