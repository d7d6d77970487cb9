"""Texture names of freedoom2.wad that the map generator may use.

A palette, not the whole archive: from the pictures that tile, have no transparent texel and belong to no animation, the
calmer half by fine detail (what a 128x96 frame cannot show is noise to the model and no landmark to an agent), then
those that differ most in colour and contrast, so that rooms differ. Textures outside the palette are met only in the
hand-made maps, the out-of-distribution test. Flats are the 64 x 64 floor and ceiling pictures. A test compares the
names with the installed archive.
"""

from __future__ import annotations

_WALLS = """
    A-BRBRK2 A-BROWN3 A-CAMO1 A-DBRI2 A-MOSRK2 A-REDROK A-TILE AMOD1 AQCONC08 AQCONC17 AQRUST01 AQRUST03
    AQRUST05 AQTILE02 BIGBRIK3 BRICK11 CARLRT2 COMPWERD COMPWERF CR64HBB CR64HGB DOKGRIR ESPIG1 ESPIG3 ESPITAN3
    GRAY4 GRAYBIG GRAYRED ICKWALL3 MC10 METAL1 METAL9 PANEL2 SHAWN2 SKIN2 SKINMET1 SP_HOT1 STONE6 STUCCO STWALL
    TANROCK2 TANROCK3 TANROCK5 TANROCK7 TANROCK8 TEKWALL6 WOOD3 ZIMMER2
"""
WALLS = tuple(_WALLS.split())
"""Surfaces for whole rooms."""

_LANDMARKS = """
    AQLITE07 AQLITE13 AQPANL05 BIGDOOR7 BRICKLIT BRWINDOW BSTONE3 CARLLF2 COMPOHSO COMPSTA1 COMPTILE COMPUTE3
    COMPUTE4 CRACKLE2 CRACKLE4 DOC1 FIRELAV2 GRAYTALG GRAYTAN8 ICKWALL5 LITE2 LONGWALL MARBFAC3 MARBFAC4 METAL6
    M_TEC NUKESLAD SILVER3 SKINBORD STONPOIS WOOD4 ZZWOLF12
"""
LANDMARKS = tuple(_LANDMARKS.split())
"""Doors, pictures, signs, machines and lights: used sparsely, so that a spot can be recognised."""

_FLATS = """
    AQF008 AQF022 AQF024 CEIL3_1 CEIL3_5 CEIL5_2 COMP01 CRATOP1 CRATOP2 DEM1_6 FLAT1 FLAT10 FLAT14 FLAT19
    FLAT5_1 FLAT5_3 FLAT9 FLOOR0_2 FLOOR1_6 FLOOR3_3 FLOOR4_6 FLOOR6_1 MFLR8_1 RROCK10
"""
FLATS = tuple(_FLATS.split())
"""Floors and ceilings."""

_CEILING_LIGHTS = """
    AQF036 AQF037 AQF039 AQF041 AQF063 CEIL3_4 FLAT17 TLITE6_6
"""
CEILING_LIGHTS = tuple(_CEILING_LIGHTS.split())
"""Bright or patterned flats, for ceilings of small areas and for floor marks."""

SKIES = ("SKY1", "SKY2", "SKY3", "SKY4")
"""Sky pictures; a ceiling with the flat F_SKY1 shows the sky of its map."""
